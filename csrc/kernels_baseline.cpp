// Tile kernels for any CPU: four lanes, which every compiler maps to SSE2 or NEON.
#define NUMINA_VECTOR_BYTES 16
#define NUMINA_SCORE_ROWS 4
#define NUMINA_SCORE_VECTORS 3
#define NUMINA_VALUE_ROWS 6
#define NUMINA_VALUE_VECTORS 2
#include "tile_loops.h"
#include "tile_softmax.h"

const TileKernels* baseline_kernels() {
  static constexpr TileKernels KERNELS{
      "baseline",        VALUE_LANES, FP32,      {},           pack_queries,
      look_up,           bias_row,    raise_max, exponentiate, nullptr,
      exponentiate_rows, nullptr,     add_row,   rescale,      scale_rows,
      finish_softmax,    write_rows};
  return &KERNELS;
}

}  // namespace numina
