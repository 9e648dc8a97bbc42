// Which tile kernels this CPU runs.
#pragma once

#include <string>

#include "tile_kernels.h"

namespace numina {

// The kernels of an instruction set; those of the best one for an empty name.
const TileKernels& tile_kernels(const std::string& name);

// Names of the instruction sets that were built and that this CPU has, the best one first.
std::string instruction_sets();

}  // namespace numina
