// Which keys belong to nouns, and what a layout does to their scores.
#include "nouns.h"

#include <algorithm>

namespace numina {
namespace {

// BiasMode of layout_bias.py.
constexpr int8_t ADD = 0, OVERWRITE = 1, LIFT = 2;
constexpr float LOG2E = 1.44269504088896341f;

}  // namespace

std::vector<NounKeys> find_noun_keys(const View<int8_t, 2>& index) {
  std::vector<NounKeys> found(index.sizes[0]);
  for (int64_t b = 0; b < index.sizes[0]; ++b)
    for (int64_t k = 0; k < index.sizes[1]; ++k) {
      const int8_t noun = index.data[b * index.strides[0] + k * index.strides[1]];
      if (noun >= 0) found[b].push_back({k, noun});
    }
  return found;
}

ColumnBias::ColumnBias(const Parts& parts)
    : labels_(parts.labels), noun_keys_(find_noun_keys(parts.index)) {
  const bool has_keys = std::any_of(noun_keys_.begin(), noun_keys_.end(),
                                    [](const NounKeys& keys) { return !keys.empty(); });
  is_off_ = parts.strength == 0.0f || !has_keys;
  if (is_off_) return;

  batch_ = std::max(parts.table.sizes[0], parts.mode.sizes[0]);
  if (parts.weight.data) batch_ = std::max(batch_, parts.weight.sizes[0]);
  heads_ = parts.table.sizes[1];
  nouns_ = parts.table.sizes[2];
  classes_ = parts.table.sizes[3];
  entries_.reserve(batch_ * heads_ * nouns_ * classes_);
  for (int64_t b = 0; b < batch_; ++b)
    for (int64_t h = 0; h < heads_; ++h)
      for (int64_t g = 0; g < nouns_; ++g)
        for (int64_t r = 0; r < classes_; ++r) entries_.push_back(entry(parts, b, h, g, r));
}

// One formula serves the three modes; `strength * table` keeps a score of 0 where the table is 0.
ColumnBias::Entry ColumnBias::entry(const Parts& parts, int64_t b, int64_t h, int64_t g,
                                    int64_t r) const {
  const auto& table = parts.table;
  const auto& mode = parts.mode;
  const auto& weight = parts.weight;
  const float score =
      LOG2E * table.of_batch(b)[h * table.strides[1] + g * table.strides[2] + r * table.strides[3]];
  switch (mode.of_batch(b)[g * mode.strides[1] + r * mode.strides[2]]) {
    case ADD:
      return {.add = parts.strength * score};
    case OVERWRITE:
      return {.add = parts.strength * score, .keep = 0.0f};
    case LIFT:
      if (!weight.data) return {};
      return {.lift = parts.strength *
                      weight.of_batch(b)[g * weight.strides[1] + r * weight.strides[2]],
              .target = score};
    default:
      return {};
  }
}

BiasRow ColumnBias::look_up(const TileKernels& kernels, int64_t batch, int64_t head, int64_t noun,
                            int64_t begin, int64_t rows, float* buffer) const {
  const int8_t* labels =
      labels_.of_batch(batch) + noun * labels_.strides[1] + begin * labels_.strides[2];
  int8_t classes[TILE_QUERIES];
  for (int64_t q = 0; q < rows; ++q) classes[q] = labels[q * labels_.strides[2]];
  std::fill(classes + rows, classes + TILE_QUERIES, int8_t{-1});

  const int64_t b = batch_ == 1 ? 0 : batch;
  const int64_t h = heads_ == 1 ? 0 : head;
  const Entry* entries = entries_.data() + ((b * heads_ + h) * nouns_ + noun) * classes_;
  kernels.look_up(classes, &entries->add, classes_, buffer);
  return {buffer, buffer + TILE_QUERIES, buffer + 2 * TILE_QUERIES, buffer + 3 * TILE_QUERIES};
}

}  // namespace numina
