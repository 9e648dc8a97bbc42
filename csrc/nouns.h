// Which keys belong to nouns, and what a layout does to their scores.
#pragma once

#include <cstdint>
#include <vector>

#include "tile_kernels.h"
#include "views.h"

namespace numina {

struct NounKey {
  int64_t key;
  int64_t noun;
};

// The keys of one batch row that belong to a noun, ascending.
using NounKeys = std::vector<NounKey>;

// One list for each row of `index` [B|1, K], which holds -1 for a key without a noun.
std::vector<NounKeys> find_noun_keys(const View<int8_t, 2>& index);

// The score bias of a layout; see LayoutBias in layout_bias.py for what the parts mean.
class ColumnBias {
 public:
  struct Parts {
    View<int8_t, 3> labels;  // [B|1, G, Q]
    View<int8_t, 2> index;   // [B|1, K]
    View<float, 4> table;    // [B|1, H|1, G, R]
    View<int8_t, 3> mode;    // [B|1, G, R]
    View<float, 3> weight;   // [B|1, G, R], or no data
    float strength;
  };

  explicit ColumnBias(const Parts& parts);

  // Whether no score changes; then nothing else may be asked for.
  bool is_off() const { return is_off_; }

  const NounKeys& noun_keys(int64_t batch) const {
    return noun_keys_[noun_keys_.size() == 1 ? 0 : batch];
  }

  // Coefficients of the queries begin..begin+rows-1 under one noun, into [4, TILE_QUERIES] floats.
  // Queries that are not there keep their scores.
  BiasRow look_up(const TileKernels& kernels, int64_t batch, int64_t head, int64_t noun,
                  int64_t begin, int64_t rows, float* buffer) const;

 private:
  // In the order of BiasRow.
  struct Entry {
    float add = 0.0f, keep = 1.0f, lift = 0.0f, target = 0.0f;
  };
  static_assert(sizeof(Entry) == 4 * sizeof(float));

  Entry entry(const Parts& parts, int64_t b, int64_t h, int64_t g, int64_t r) const;

  View<int8_t, 3> labels_;
  std::vector<NounKeys> noun_keys_;
  bool is_off_ = true;
  int64_t batch_ = 0, heads_ = 0, nouns_ = 0, classes_ = 0;
  std::vector<Entry> entries_;  // [batch_, heads_, nouns_, classes_]
};

}  // namespace numina
