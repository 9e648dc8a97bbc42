// Which tile kernels this CPU runs.
#include "instruction_set.h"

#include <torch/csrc/stable/library.h>
#include <torch/headeronly/util/Exception.h>

#include <vector>

namespace numina {
namespace {

const std::vector<const TileKernels*>& usable() {
  static const std::vector<const TileKernels*> found = [] {
    std::vector<const TileKernels*> kernels;
    for (const TileKernels* some :
         {avx512_bf16_kernels(), avx512_kernels(), avx2_kernels(), baseline_kernels()})
      if (some) kernels.push_back(some);
    return kernels;
  }();
  return found;
}

}  // namespace

const TileKernels& tile_kernels(const std::string& name) {
  for (const TileKernels* kernels : usable())
    if (name.empty() || name == kernels->name) return *kernels;
  STD_TORCH_CHECK(false, "instruction_set must be one of ", instruction_sets(), ", got ", name);
}

std::string instruction_sets() {
  std::string names;
  for (const TileKernels* kernels : usable()) {
    if (!names.empty()) names += ',';
    names += kernels->name;
  }
  return names;
}

}  // namespace numina

STABLE_TORCH_LIBRARY_FRAGMENT(numina_cpu, m) { m.def("instruction_sets() -> str"); }

STABLE_TORCH_LIBRARY_IMPL(numina_cpu, CompositeExplicitAutograd, m) {
  m.impl("instruction_sets", TORCH_BOX(&numina::instruction_sets));
}
