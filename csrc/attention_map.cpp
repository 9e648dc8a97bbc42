// Products with an attention map. `P x` is attention whose values are `x`, in `biased_attention`.
#include <torch/csrc/stable/library.h>

#include <string>

#include "attend.h"
#include "instruction_set.h"

namespace numina {
namespace {

void attention_map_lse(Tensor query, Tensor key, double scale, std::string instruction_set,
                       Tensor lse) {
  Attention attention{.query = rows_of(query), .key = rows_of(key)};
  attention.scale = static_cast<float>(scale);
  attention.output_lse = static_cast<float*>(lse.mutable_data_ptr());
  attend(attention, tile_kernels(instruction_set));
}

void attention_map_reapply(Tensor query, Tensor key, Tensor x, Tensor lse, double scale,
                           std::string instruction_set, Tensor output) {
  Attention attention{.query = rows_of(query), .key = rows_of(key), .value = rows_of(x)};
  attention.lse = view_of<float, 3>(lse);
  attention.pivot = Pivot::QUERY_LSE;
  attention.scale = static_cast<float>(scale);
  attention.output = static_cast<char*>(output.mutable_data_ptr());
  attend(attention, tile_kernels(instruction_set));
}

// `P^T y = exp(K Q^T - lse) y`: queries and keys change places, and the log-sum-exp comes with what
// is summed over.
void attention_map_apply_transposed(Tensor query, Tensor key, Tensor y, Tensor lse, double scale,
                                    std::string instruction_set, Tensor output) {
  Attention attention{.query = rows_of(key), .key = rows_of(query), .value = rows_of(y)};
  attention.lse = view_of<float, 3>(lse);
  attention.pivot = Pivot::KEY_LSE;
  attention.scale = static_cast<float>(scale);
  attention.output = static_cast<char*>(output.mutable_data_ptr());
  attend(attention, tile_kernels(instruction_set));
}

}  // namespace
}  // namespace numina

STABLE_TORCH_LIBRARY_FRAGMENT(numina_cpu, m) {
  m.def(
      "attention_map_lse(Tensor query, Tensor key, float scale, str instruction_set, "
      "Tensor(a!) lse) -> ()");
  m.def(
      "attention_map_reapply(Tensor query, Tensor key, Tensor x, Tensor lse, float scale, "
      "str instruction_set, Tensor(a!) output) -> ()");
  m.def(
      "attention_map_apply_transposed(Tensor query, Tensor key, Tensor y, Tensor lse, float scale, "
      "str instruction_set, Tensor(a!) output) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(numina_cpu, CPU, m) {
  m.impl("attention_map_lse", TORCH_BOX(&numina::attention_map_lse));
  m.impl("attention_map_reapply", TORCH_BOX(&numina::attention_map_reapply));
  m.impl("attention_map_apply_transposed", TORCH_BOX(&numina::attention_map_apply_transposed));
}
