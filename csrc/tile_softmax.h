// The bodies of the tile kernels between the two products: bias, softmax, and what is written.
// Included after `tile_loops.h`, under the same rules.

void look_up(const int8_t* classes, const float* entries, int64_t count, float* rows) {
  constexpr float NO_CHANGE[4] = {0.0f, 1.0f, 0.0f, 0.0f};
  for (int64_t q = 0; q < TILE_QUERIES; q += WIDTH) {
    Mask own;
#pragma GCC unroll 16
    for (int i = 0; i < WIDTH; ++i) own[i] = classes[q + i];
    Vec found[4];
    for (int i = 0; i < 4; ++i) found[i] = all(NO_CHANGE[i]);
    // A layout has a few classes, so comparing with all of them is cheaper than gathering.
    for (int32_t r = 0; r < count; ++r)
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) found[i] = own == r ? all(entries[4 * r + i]) : found[i];
    for (int i = 0; i < 4; ++i) store(rows + i * TILE_QUERIES + q, found[i]);
  }
}

void bias_row(const BiasRow& coefficients, float* scores) {
  for (int64_t q = 0; q < TILE_QUERIES; q += WIDTH) {
    const Vec s = load(scores + q);
    const Vec short_of = max(load(coefficients.target + q) - s, Vec{});
    const Vec moved = load(coefficients.keep + q) * s + load(coefficients.add + q);
    const Vec biased = load(coefficients.lift + q) * short_of + moved;
    store(scores + q, s > -INF ? biased : s);
  }
}

void raise_max(const float* scores, int64_t count, float* highest) {
  constexpr int VECTORS = TILE_QUERIES / WIDTH;
  Vec best[VECTORS];
#pragma GCC unroll 16
  for (int v = 0; v < VECTORS; ++v) best[v] = load(highest + v * WIDTH);
  for (int64_t k = 0; k < count; ++k)
#pragma GCC unroll 16
    for (int v = 0; v < VECTORS; ++v)
      best[v] = max(load(scores + k * TILE_QUERIES + v * WIDTH), best[v]);
#pragma GCC unroll 16
  for (int v = 0; v < VECTORS; ++v) store(highest + v * WIDTH, best[v]);
}

// Sums of exponentials go into as many parts: fewer roundings each, and no addition waits for
// another.
constexpr int SUM_PARTS = 4;

void exponentiate(float* scores, int64_t count, const float* pivot, float* sums) {
  for (int64_t q = 0; q < TILE_QUERIES; q += WIDTH) {
    const Vec low = load(pivot + q);
    Vec sum[SUM_PARTS] = {};
    int64_t k = 0;
    for (; k + SUM_PARTS <= count; k += SUM_PARTS)
#pragma GCC unroll 4
      for (int i = 0; i < SUM_PARTS; ++i) {
        float* place = scores + (k + i) * TILE_QUERIES + q;
        const Vec p = exp2(load(place) - low);
        store(place, p);
        sum[i] += p;
      }
    for (; k < count; ++k) {
      float* place = scores + k * TILE_QUERIES + q;
      const Vec p = exp2(load(place) - low);
      store(place, p);
      sum[0] += p;
    }
    store(sums + q, load(sums + q) + ((sum[0] + sum[1]) + (sum[2] + sum[3])));
  }
}

void exponentiate_rows(float* scores, int64_t count, const float* pivot) {
  for (int64_t k = 0; k < count; ++k)
    for (int64_t q = 0; q < TILE_QUERIES; q += WIDTH) {
      float* place = scores + k * TILE_QUERIES + q;
      store(place, exp2(load(place) - pivot[k]));
    }
}

void add_row(const float* row, float* total) {
  for (int64_t q = 0; q < TILE_QUERIES; q += WIDTH)
    store(total + q, load(total + q) + load(row + q));
}

bool rescale(const float* old_pivot, const float* new_pivot, float* factor, float* sums) {
  bool differs = false;
  for (int64_t q = 0; q < TILE_QUERIES; q += WIDTH) {
    const Vec f = exp2(load(old_pivot + q) - load(new_pivot + q));
    store(factor + q, f);
    store(sums + q, load(sums + q) * f);
    for (int i = 0; i < WIDTH; ++i) differs |= f[i] != 1.0f;
  }
  return differs;
}

void scale_rows(const float* factor, int64_t rows, int64_t columns, float* output,
                int64_t output_stride) {
  for (int64_t q = 0; q < rows; ++q)
    for (int64_t c = 0; c < columns; c += WIDTH) {
      float* place = output + q * output_stride + c;
      store(place, load(place) * factor[q]);
    }
}

void finish_softmax(const float* pivot, const float* sums, float* lse, float* inverse) {
  for (int64_t q = 0; q < TILE_QUERIES; q += WIDTH) {
    const Vec sum = load(sums + q);
    store(lse + q, (log2(sum) + load(pivot + q)) * LN2);
    // The largest term of a query that has a key is 1, so only the others are below.
    store(inverse + q, 1.0f / (sum < 1.0f ? all(1.0f) : sum));
  }
}

// Round to the nearest bfloat16, ties to even; NaN stays NaN.
inline Bits round_to_bf16(Vec x) {
  const Bits bits = (Bits)x;
  const Bits rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  return (x == x ? rounded : bits | 0x00400000u) >> 16;
}

inline uint16_t round_to_bf16(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, 4);
  const uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  return static_cast<uint16_t>((x == x ? rounded : bits | 0x00400000u) >> 16);
}

void write_rows(const float* output, int64_t output_stride, const float* factor, int64_t rows,
                int64_t columns, char* target, int64_t row_bytes, bool to_bf16) {
  for (int64_t q = 0; q < rows; ++q) {
    const float* from = output + q * output_stride;
    float* floats = reinterpret_cast<float*>(target + q * row_bytes);
    uint16_t* halves = reinterpret_cast<uint16_t*>(target + q * row_bytes);
    int64_t c = 0;
    for (; c + WIDTH <= columns; c += WIDTH) {
      const Vec value = load(from + c) * factor[q];
      if (to_bf16)
        *reinterpret_cast<Halves*>(halves + c) =
            __builtin_convertvector(round_to_bf16(value), Halves);
      else
        store(floats + c, value);
    }
    for (; c < columns; ++c) {
      const float value = from[c] * factor[q];
      if (to_bf16)
        halves[c] = round_to_bf16(value);
      else
        floats[c] = value;
    }
  }
}

constexpr Products FP32{1, score<Fp32Product>, accumulate<Fp32Product>};
constexpr int64_t VALUE_LANES = NUMINA_VALUE_VECTORS * WIDTH;

}  // namespace
