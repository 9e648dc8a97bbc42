// One pass over the keys of every query: the driver of all operations.
//
// Keys and values are packed for a few heads at a time. Then each thread takes spans of queries; of
// their scores no more than one block of keys for TILE_QUERIES queries is ever alive in a thread.
#include "attend.h"

#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "buffer.h"
#include "packing.h"

namespace numina {
namespace {

constexpr float LOG2E = 1.44269504088896341f;
constexpr float INF = std::numeric_limits<float>::infinity();
// The finite pivot of a query without a key: -inf minus -inf would be NaN.
constexpr float LOWEST = std::numeric_limits<float>::lowest();
// Keys and values of so many floats are packed at once: 64 MiB, or one head if that is more.
constexpr int64_t PACKED_FLOATS = 16 << 20;
// Rows that a thread packs at a time; even, so that pairs of rows stay together.
constexpr int64_t PACKED_ROWS = 256;
// Where the packed heads fit a second-level cache (512 KiB), a thread takes the same queries of all
// heads in turn: they are neighbours in memory. Elsewhere it stays with the head.
constexpr int64_t CACHED_FLOATS = 1 << 17;
// Tiles that share a block of keys while it is in the cache, where there are several blocks.
constexpr int64_t SPAN_TILES = 4;

int64_t round_up(int64_t size, int64_t multiple) {
  return (size + multiple - 1) / multiple * multiple;
}

float pivot_of(float lse) { return std::max(lse * LOG2E, LOWEST); }

// The running results of one tile.
struct Tile {
  float* queries;  // packed
  float* highest;  // [TILE_QUERIES]
  float* pivot;    // [TILE_QUERIES]
  float* sums;     // [TILE_QUERIES]
  float*
      rounded;    // [TILE_QUERIES], sums of the exponentials as bfloat16, where those are the words
  float* probs;   // [G, TILE_QUERIES]
  float* output;  // [TILE_QUERIES, output_stride]
};

class Pass {
 public:
  Pass(const Attention& attention, const TileKernels& kernels)
      : a_(attention),
        kernels_(kernels),
        // bfloat16 is multiplied as it is where the CPU can, and as float elsewhere.
        score_(a_.query.is_bf16 && kernels.bf16.per_word ? kernels.bf16 : kernels.fp32),
        value_(a_.value.is_bf16 && kernels.bf16.per_word ? kernels.bf16 : kernels.fp32),
        columns_(a_.value.data ? a_.value.columns : 0),
        depth_(words_for(a_.query.columns, score_.per_word)),
        value_words_(words_for(a_.key.length, value_.per_word)),
        panel_stride_(value_words_ * kernels.value_lanes),
        output_stride_(round_up(columns_, kernels.value_lanes)),
        span_tiles_(a_.key.length > BLOCK_KEYS ? SPAN_TILES : 1),
        // Each head starts at a cache line.
        key_floats_(round_up(a_.key.length * depth_, 16)),
        value_floats_(value_words_ * output_stride_),
        side_floats_(round_up(a_.key.length, 16)) {}

  void run() {
    const int64_t heads = a_.query.batch * a_.query.heads;
    const int64_t head_floats = key_floats_ + value_floats_ + 2 * side_floats_;
    const int64_t chunk = std::clamp<int64_t>(PACKED_FLOATS / head_floats, 1, heads);
    Buffer buffer;
    packed_ = buffer.reserve(chunk * head_floats);
    const int64_t pieces = (a_.key.length + PACKED_ROWS - 1) / PACKED_ROWS;
    const int64_t span = span_tiles_ * TILE_QUERIES;
    const int64_t spans = (a_.query.length + span - 1) / span;
    for (first_head_ = 0; first_head_ < heads; first_head_ += chunk) {
      heads_ = std::min(chunk, heads - first_head_);
      torch::stable::parallel_for(0, heads_ * pieces, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) pack(i / pieces, i % pieces * PACKED_ROWS);
      });
      torch::stable::parallel_for(0, heads_ * spans, 1, [&](int64_t begin, int64_t end) {
        // Kept by the thread: the memory of a call would be mapped page by page each time.
        static thread_local Buffer scratch;
        float* free = scratch.reserve(scratch_floats());
        for (int64_t i = begin; i < end; ++i) {
          if (heads_ * head_floats <= CACHED_FLOATS)
            attend_span(i % heads_, i / heads_ * span, free);
          else
            attend_span(i / spans, i % spans * span, free);
        }
      });
    }
  }

 private:
  float* keys(int64_t head) const { return packed_ + head * key_floats_; }
  float* values(int64_t head) const {
    return packed_ + heads_ * key_floats_ + head * value_floats_;
  }
  // Offset and pivot of each key, in units of ln 2.
  float* offsets(int64_t head) const {
    return packed_ + heads_ * (key_floats_ + value_floats_) + head * side_floats_;
  }
  float* key_pivots(int64_t head) const { return offsets(head) + heads_ * side_floats_; }

  void pack(int64_t head, int64_t begin) const {
    const int64_t b = (first_head_ + head) / a_.query.heads;
    const int64_t h = (first_head_ + head) % a_.query.heads;
    const int64_t end = std::min(begin + PACKED_ROWS, a_.key.length);
    pack_rows(a_.key, b, h, begin, end, score_.per_word, keys(head) + begin * depth_);
    if (columns_)
      pack_panels(a_.value, b, h, begin, end, value_.per_word, kernels_.value_lanes, panel_stride_,
                  values(head));
    if (a_.key_offset.data)
      for (int64_t k = begin; k < end; ++k)
        offsets(head)[k] = LOG2E * a_.key_offset.of_batch(b)[k * a_.key_offset.strides[1]];
    if (a_.pivot == Pivot::KEY_LSE)
      for (int64_t k = begin; k < end; ++k) key_pivots(head)[k] = pivot_of(given_lse(b, h, k));
  }

  float given_lse(int64_t b, int64_t h, int64_t row) const {
    const auto& strides = a_.lse.strides;
    return a_.lse.data[b * strides[0] + h * strides[1] + row * strides[2]];
  }

  int64_t block_keys() const { return std::min(a_.key.length, BLOCK_KEYS); }
  int64_t tile_floats() const {
    return TILE_QUERIES * (depth_ + 4 + a_.noun_count + output_stride_);
  }
  int64_t scratch_floats() const {
    // Scores, their pairs, four coefficients, a factor, and queries that cannot be read in place.
    const int64_t shared = TILE_QUERIES * (block_keys() + (block_keys() + 1) / 2 + 5 + depth_);
    return shared + span_tiles_ * tile_floats();
  }

  void attend_span(int64_t head, int64_t begin, float* free) const {
    const int64_t b = (first_head_ + head) / a_.query.heads;
    const int64_t h = (first_head_ + head) % a_.query.heads;
    const int64_t end = std::min(begin + span_tiles_ * TILE_QUERIES, a_.query.length);
    const int64_t tiles = (end - begin + TILE_QUERIES - 1) / TILE_QUERIES;
    Tile span[SPAN_TILES];
    for (int64_t t = 0; t < tiles; ++t) {
      span[t] = start_tile(b, h, begin + t * TILE_QUERIES, free + t * tile_floats(),
                           free + tiles * tile_floats());
    }
    float* shared = free + tiles * tile_floats();
    for (int64_t key = 0; key < a_.key.length; key += BLOCK_KEYS)
      for (int64_t t = 0; t < tiles; ++t)
        attend_block(span[t], head, b, h, begin + t * TILE_QUERIES, key, shared);
    for (int64_t t = 0; t < tiles; ++t)
      finish_tile(span[t], b, h, begin + t * TILE_QUERIES, shared);
  }

  int64_t rows_from(int64_t query) const { return std::min(TILE_QUERIES, a_.query.length - query); }

  Tile start_tile(int64_t b, int64_t h, int64_t query, float* free, float* staging) const {
    Tile tile;
    tile.queries = free;
    tile.output = tile.queries + TILE_QUERIES * depth_;
    tile.highest = tile.output + TILE_QUERIES * output_stride_;
    tile.pivot = tile.highest + TILE_QUERIES;
    tile.sums = tile.pivot + TILE_QUERIES;
    tile.rounded = tile.sums + TILE_QUERIES;
    tile.probs = tile.rounded + TILE_QUERIES;
    const int64_t rows = rows_from(query);
    if (are_words(a_.query, score_.per_word)) {
      kernels_.pack_queries(a_.query.at(b, query, h), a_.query.strides[1] * a_.query.item(), rows,
                            depth_, tile.queries);
    } else {
      pack_rows(a_.query, b, h, query, query + rows, score_.per_word, staging);
      kernels_.pack_queries(reinterpret_cast<const char*>(staging), 4 * depth_, rows, depth_,
                            tile.queries);
    }
    std::fill_n(tile.highest, TILE_QUERIES, -INF);
    std::fill_n(tile.pivot, TILE_QUERIES, 0.0f);
    std::fill_n(tile.sums, TILE_QUERIES * (2 + a_.noun_count), 0.0f);
    if (a_.pivot == Pivot::QUERY_LSE)
      for (int64_t q = 0; q < rows; ++q) tile.pivot[q] = pivot_of(given_lse(b, h, query + q));
    return tile;
  }

  void attend_block(Tile& tile, int64_t head, int64_t b, int64_t h, int64_t query, int64_t key,
                    float* shared) const {
    const int64_t rows = rows_from(query), count = std::min(BLOCK_KEYS, a_.key.length - key);
    float* scores = shared;
    float* pairs = scores + TILE_QUERIES * block_keys();
    float* spare = pairs + TILE_QUERIES * ((block_keys() + 1) / 2);
    score_.score(tile.queries, keys(head) + key * depth_, count, depth_, a_.scale * LOG2E,
                 a_.key_offset.data ? offsets(head) + key : nullptr, rows, scores);
    if (a_.bias) add_bias(b, h, query, rows, key, count, spare, scores);
    if (a_.pivot == Pivot::SOFTMAX) raise_pivot(tile, key == 0, rows, scores, count, spare);

    const float* probs = exponentiate(tile, head, key, count, scores, pairs);
    if (columns_)
      value_.accumulate(probs, words_for(count, value_.per_word), rows,
                        values(head) + key / value_.per_word * kernels_.value_lanes, panel_stride_,
                        columns_, key == 0, tile.output, output_stride_);
    if (a_.noun_count) {
      const auto [first, last] = within(keys_of(*a_.noun_keys, b), key, count);
      for (auto it = first; it != last; ++it)
        kernels_.add_row(scores + (it->key - key) * TILE_QUERIES,
                         tile.probs + it->noun * TILE_QUERIES);
    }
  }

  static const NounKeys& keys_of(const std::vector<NounKeys>& lists, int64_t batch) {
    return lists[lists.size() == 1 ? 0 : batch];
  }

  // Those of ascending keys that lie in key..key+count-1.
  static std::pair<NounKeys::const_iterator, NounKeys::const_iterator> within(const NounKeys& keys,
                                                                              int64_t key,
                                                                              int64_t count) {
    const auto before = [](const NounKey& some, int64_t bound) { return some.key < bound; };
    const auto first = std::lower_bound(keys.begin(), keys.end(), key, before);
    return {first, std::lower_bound(first, keys.end(), key + count, before)};
  }

  void add_bias(int64_t b, int64_t h, int64_t query, int64_t rows, int64_t key, int64_t count,
                float* spare, float* scores) const {
    const auto [first, last] = within(a_.bias->noun_keys(b), key, count);
    int64_t noun = -1;
    BiasRow row{};
    for (auto it = first; it != last; ++it) {
      // Tokens of a noun mostly stand together and share their coefficients.
      if (it->noun != noun)
        row = a_.bias->look_up(kernels_, b, h, noun = it->noun, query, rows, spare);
      kernels_.bias_row(row, scores + (it->key - key) * TILE_QUERIES);
    }
  }

  void raise_pivot(Tile& tile, bool is_first, int64_t rows, const float* scores, int64_t count,
                   float* spare) const {
    kernels_.raise_max(scores, count, tile.highest);
    float pivot[TILE_QUERIES];
    for (int64_t q = 0; q < TILE_QUERIES; ++q) pivot[q] = std::max(tile.highest[q], LOWEST);
    if (!is_first && kernels_.rescale(tile.pivot, pivot, spare, tile.sums)) {
      kernels_.scale_rows(spare, rows, columns_, tile.output, output_stride_);
      // The rounded sums, and the probabilities behind them.
      for (int64_t i = 0; i < (1 + a_.noun_count) * TILE_QUERIES; ++i)
        tile.rounded[i] *= spare[i % TILE_QUERIES];
    }
    std::copy_n(pivot, TILE_QUERIES, tile.pivot);
  }

  // The words for `accumulate`. Where nouns are counted, `scores` holds the floats too.
  const float* exponentiate(Tile& tile, int64_t head, int64_t key, int64_t count, float* scores,
                            float* pairs) const {
    const bool by_key = a_.pivot == Pivot::KEY_LSE;
    if (columns_ == 0 || value_.per_word == 1) {
      if (by_key)
        kernels_.exponentiate_rows(scores, count, key_pivots(head) + key);
      else
        kernels_.exponentiate(scores, count, tile.pivot, tile.sums);
      return scores;
    }
    if (by_key)
      kernels_.exponentiate_row_pairs(scores, count, key_pivots(head) + key, pairs);
    else
      kernels_.exponentiate_pairs(scores, count, tile.pivot, tile.sums, tile.rounded, pairs,
                                  a_.noun_count > 0);
    return pairs;
  }

  void finish_tile(const Tile& tile, int64_t b, int64_t h, int64_t query, float* spare) const {
    const int64_t rows = rows_from(query), heads = a_.query.heads, length = a_.query.length;
    float* inverse = spare;
    float* lse = spare + TILE_QUERIES;
    std::fill_n(inverse, TILE_QUERIES, 1.0f);
    if (a_.pivot == Pivot::SOFTMAX) kernels_.finish_softmax(tile.pivot, tile.sums, lse, inverse);
    const int64_t row = (b * heads + h) * length + query;
    if (a_.output_lse) std::copy_n(lse, rows, a_.output_lse + row);
    for (int64_t g = 0; g < a_.noun_count; ++g) {
      float* target = a_.output_probs + ((b * heads + h) * a_.noun_count + g) * length + query;
      for (int64_t q = 0; q < rows; ++q) target[q] = tile.probs[g * TILE_QUERIES + q] * inverse[q];
    }
    if (columns_) {
      // What was rounded is divided by the sum of what was rounded: the many equal keys of padding
      // are all off by the same factor, which cancels.
      if (a_.pivot == Pivot::SOFTMAX && value_.per_word == 2)
        for (int64_t q = 0; q < rows; ++q)
          inverse[q] = 1.0f / (tile.rounded[q] < 1.0f ? 1.0f : tile.rounded[q]);
      const int64_t item = a_.value.item();
      kernels_.write_rows(tile.output, output_stride_, inverse, rows, columns_,
                          a_.output + ((b * length + query) * heads + h) * columns_ * item,
                          heads * columns_ * item, a_.value.is_bf16);
    }
  }

  const Attention& a_;
  const TileKernels& kernels_;
  const Products& score_;
  const Products& value_;
  const int64_t columns_, depth_, value_words_, panel_stride_, output_stride_, span_tiles_;
  // Of one head, packed.
  const int64_t key_floats_, value_floats_, side_floats_;
  float* packed_ = nullptr;
  int64_t first_head_ = 0, heads_ = 0;
};

}  // namespace

void attend(const Attention& attention, const TileKernels& kernels) {
  Pass(attention, kernels).run();
}

}  // namespace numina
