// Biased attention, and the probabilities of nouns from the same pass.
#include <torch/csrc/stable/library.h>

#include <optional>
#include <string>

#include "attend.h"
#include "instruction_set.h"

namespace numina {
namespace {

using MaybeTensor = std::optional<Tensor>;

std::optional<ColumnBias> column_bias(const MaybeTensor& labels, const MaybeTensor& index,
                                      const MaybeTensor& table, const MaybeTensor& mode,
                                      const MaybeTensor& weight, const MaybeTensor& strength) {
  if (!labels) return std::nullopt;
  ColumnBias bias({
      .labels = view_of<int8_t, 3>(*labels),
      .index = view_of<int8_t, 2>(*index),
      .table = view_of<float, 4>(*table),
      .mode = view_of<int8_t, 3>(*mode),
      .weight = weight ? view_of<float, 3>(*weight) : View<float, 3>{},
      .strength = *static_cast<const float*>(strength->data_ptr()),
  });
  if (bias.is_off()) return std::nullopt;
  return bias;
}

void biased_attention(Tensor query, Tensor key, Tensor value, MaybeTensor group_index,
                      MaybeTensor labels, MaybeTensor index, MaybeTensor table, MaybeTensor mode,
                      MaybeTensor weight, MaybeTensor strength, MaybeTensor key_offset,
                      double scale, std::string instruction_set, Tensor output, Tensor lse,
                      MaybeTensor probs) {
  Attention attention{.query = rows_of(query), .key = rows_of(key), .value = rows_of(value)};
  const auto bias = column_bias(labels, index, table, mode, weight, strength);
  if (bias) attention.bias = &*bias;
  if (key_offset) attention.key_offset = view_of<float, 2>(*key_offset);
  std::vector<NounKeys> noun_keys;
  if (group_index) {
    noun_keys = find_noun_keys(view_of<int8_t, 2>(*group_index));
    attention.noun_keys = &noun_keys;
    attention.noun_count = probs->size(2);
    attention.output_probs = static_cast<float*>(probs->mutable_data_ptr());
  }
  attention.scale = static_cast<float>(scale);
  attention.output = static_cast<char*>(output.mutable_data_ptr());
  attention.output_lse = static_cast<float*>(lse.mutable_data_ptr());
  attend(attention, tile_kernels(instruction_set));
}

}  // namespace
}  // namespace numina

STABLE_TORCH_LIBRARY_FRAGMENT(numina_cpu, m) {
  m.def(
      "biased_attention(Tensor query, Tensor key, Tensor value, Tensor? group_index, "
      "Tensor? labels, Tensor? index, Tensor? table, Tensor? mode, Tensor? weight, "
      "Tensor? strength, Tensor? key_offset, float scale, str instruction_set, "
      "Tensor(a!) output, Tensor(b!) lse, Tensor(c!)? probs) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(numina_cpu, CPU, m) {
  m.impl("biased_attention", TORCH_BOX(&numina::biased_attention));
}
