// The probabilities of nouns: attention without values.
#include <torch/csrc/stable/library.h>

#include <optional>
#include <string>

#include "attend.h"
#include "instruction_set.h"

namespace numina {
namespace {

void token_probs(Tensor query, Tensor key, Tensor group_index, std::optional<Tensor> key_offset,
                 std::optional<Tensor> lse, double scale, std::string instruction_set,
                 Tensor probs) {
  const std::vector<NounKeys> noun_keys = find_noun_keys(view_of<int8_t, 2>(group_index));
  Attention attention{.query = rows_of(query), .key = rows_of(key)};
  if (key_offset) attention.key_offset = view_of<float, 2>(*key_offset);
  if (lse) {
    attention.lse = view_of<float, 3>(*lse);
    attention.pivot = Pivot::QUERY_LSE;
  }
  attention.noun_keys = &noun_keys;
  attention.noun_count = probs.size(2);
  attention.scale = static_cast<float>(scale);
  attention.output_probs = static_cast<float*>(probs.mutable_data_ptr());
  attend(attention, tile_kernels(instruction_set));
}

}  // namespace
}  // namespace numina

STABLE_TORCH_LIBRARY_FRAGMENT(numina_cpu, m) {
  m.def(
      "token_probs(Tensor query, Tensor key, Tensor group_index, Tensor? key_offset, Tensor? lse, "
      "float scale, str instruction_set, Tensor(a!) probs) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(numina_cpu, CPU, m) {
  m.impl("token_probs", TORCH_BOX(&numina::token_probs));
}
