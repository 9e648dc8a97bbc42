// Uninitialised floats that start at a cache line.
#pragma once

#include <cstdint>
#include <memory>
#include <new>

namespace numina {

class Buffer {
 public:
  // At least `count` floats; what was there before is lost. Never shrinks, so that memory that is
  // used again in every call is not mapped again.
  float* reserve(int64_t count) {
    if (count > count_) {
      floats_.reset();
      floats_.reset(static_cast<float*>(::operator new(sizeof(float) * count, ALIGNMENT)));
      count_ = count;
    }
    return floats_.get();
  }

 private:
  static constexpr std::align_val_t ALIGNMENT{64};
  struct Free {
    void operator()(float* floats) const { ::operator delete(floats, ALIGNMENT); }
  };

  std::unique_ptr<float, Free> floats_;
  int64_t count_ = 0;
};

}  // namespace numina
