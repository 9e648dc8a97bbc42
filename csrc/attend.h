// One pass over the keys of every query: the driver of all operations.
#pragma once

#include <cstdint>
#include <vector>

#include "nouns.h"
#include "tile_kernels.h"
#include "views.h"

namespace numina {

// What is subtracted from scores before they are exponentiated, and what the sums are divided by.
enum class Pivot {
  SOFTMAX,    // the largest score of the query; the sum of the exponentials
  QUERY_LSE,  // the given log-sum-exp of the query; nothing
  KEY_LSE,    // the given log-sum-exp of the key; nothing. Queries and keys have changed places.
};

struct Attention {
  Rows query{};                 // [B, Q, H, D]
  Rows key{};                   // [B, K, H, D]
  Rows value{};                 // [B, K, H, C]; no data where only statistics are wanted
  View<float, 2> key_offset{};  // [B|1, K] in nats, or no data
  View<float, 3> lse{};         // [B, H, Q or K] in nats, for the pivots that are given
  const ColumnBias* bias = nullptr;
  const std::vector<NounKeys>* noun_keys = nullptr;  // of the probabilities
  int64_t noun_count = 0;
  float scale = 1.0f;
  Pivot pivot = Pivot::SOFTMAX;

  // Contiguous results; null for what is not wanted.
  char* output = nullptr;         // [B, Q, H, C], dtype of `value`
  float* output_lse = nullptr;    // [B, H, Q]
  float* output_probs = nullptr;  // [B, H, G, Q]
};

// Every row is summed in one order, whatever the number of threads.
void attend(const Attention& attention, const TileKernels& kernels);

}  // namespace numina
