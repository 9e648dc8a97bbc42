// The loops over one tile of scores: one set of functions for each instruction set.
//
// A tile holds the scores of TILE_QUERIES queries against a block of keys, keys first,
// [keys, TILE_QUERIES]. Maxima and sums over the keys are then vector operations over neighbouring
// queries, and the column of a noun is one contiguous row: no operation goes across a vector.
//
// Operands of products are packed into 32-bit words: one float, or a pair of bfloat16 that lie next
// to each other along the dimension that is summed over. A product of words is one instruction in
// either case, so the loops are written once. Packed words travel as `float`.
#pragma once

#include <cstdint>

namespace numina {

// A multiple of the rows and of the lanes of every register block below.
constexpr int64_t TILE_QUERIES = 48;
// Keys of one block: their scores take 96 KiB, which leaves room for keys and values of 128
// columns in a second-level cache of 1 MiB. Even, so that pairs of keys never straddle blocks.
constexpr int64_t BLOCK_KEYS = 512;

// Coefficients of `add + keep * s + lift * max(target - s, 0)`, each [TILE_QUERIES]. Scores and
// targets are in units of ln 2.
struct BiasRow {
  const float* add;
  const float* keep;
  const float* lift;
  const float* target;
};

// Products whose operands are packed into words of one dtype.
struct Products {
  // Elements in a word: 1 float or 2 bfloat16.
  int64_t per_word;

  // scores[k, q] = scale * <keys[k], queries[q]> + offset[k]
  //   queries  packed by `pack_queries`
  //   keys     [count, depth] words
  //   offset   [count], or null
  void (*score)(const float* queries, const float* keys, int64_t count, int64_t depth, float scale,
                const float* offset, int64_t rows, float* scores);

  // output[q, c] (+)= sum over k of probs[k, q] * values[k, c]
  //   probs    [words, TILE_QUERIES] words
  //   values   panels of [words, value_lanes] words, `panel_stride` words apart
  //   output   [TILE_QUERIES, output_stride] float
  void (*accumulate)(const float* probs, int64_t words, int64_t rows, const float* values,
                     int64_t panel_stride, int64_t columns, bool is_first, float* output,
                     int64_t output_stride);
};

struct TileKernels {
  const char* name;
  // Columns of a panel of packed values.
  int64_t value_lanes;
  Products fp32;
  // Its `per_word` is 0 where the instruction set has no product of bfloat16; the operands are then
  // packed as float.
  Products bf16;

  // Transpose `rows` rows of `depth` words, `row_bytes` apart, into panels for `score`.
  void (*pack_queries)(const char* queries, int64_t row_bytes, int64_t rows, int64_t depth,
                       float* packed);
  // rows[i, q] = entries[classes of q, i] for the four coefficients i of a BiasRow; a query of
  // class -1 gets coefficients that change nothing.
  void (*look_up)(const int8_t* classes, const float* entries, int64_t count, float* rows);
  // Bias one row of scores in place. A score of -inf or NaN stays as it is.
  void (*bias_row)(const BiasRow& coefficients, float* scores);
  // highest[q] = max(highest[q], scores[:, q]); NaN is passed over and shows up in the sums.
  void (*raise_max)(const float* scores, int64_t count, float* highest);
  // scores = exp2(scores - pivot[q]); sums[q] += them.
  void (*exponentiate)(float* scores, int64_t count, const float* pivot, float* sums);
  // The same, and the pairs of neighbouring keys as words, of which an odd count is filled up with
  // a zero; rounded_sums[q] += the bfloat16 that are in the words.
  void (*exponentiate_pairs)(float* scores, int64_t count, const float* pivot, float* sums,
                             float* rounded_sums, float* pairs, bool keep_scores);
  // scores[k] = exp2(scores[k] - pivot[k]), with and without pairs.
  void (*exponentiate_rows)(float* scores, int64_t count, const float* pivot);
  void (*exponentiate_row_pairs)(float* scores, int64_t count, const float* pivot, float* pairs);
  // total[q] += row[q]
  void (*add_row)(const float* row, float* total);
  // Scale what was summed so far to a new pivot: factor = exp2(old - new), sums *= factor.
  // Returns whether any factor differs from 1.
  bool (*rescale)(const float* old_pivot, const float* new_pivot, float* factor, float* sums);
  // output[q, :] *= factor[q]
  void (*scale_rows)(const float* factor, int64_t rows, int64_t columns, float* output,
                     int64_t output_stride);
  // Log-sum-exp in nats and 1 / sum from the pivot and the sum of a softmax; a row without a key
  // gives -inf and 1.
  void (*finish_softmax)(const float* pivot, const float* sums, float* lse, float* inverse);
  // target[q, :] = factor[q] * output[q, :], as float or rounded to bfloat16.
  void (*write_rows)(const float* output, int64_t output_stride, const float* factor, int64_t rows,
                     int64_t columns, char* target, int64_t row_bytes, bool to_bf16);
};

// Null where the compiler could not build the variant or this CPU cannot run it.
const TileKernels* avx512_bf16_kernels();
const TileKernels* avx512_kernels();
const TileKernels* avx2_kernels();
// Runs everywhere.
const TileKernels* baseline_kernels();

}  // namespace numina
