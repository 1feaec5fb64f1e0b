// Where the CPU executor counts.  Here nothing is counted: these vanish.
#pragma once

#define EMULATOR_EVENT(name)
#define EMULATOR_CALLED METAL_FUNC
#define EMULATOR_APART METAL_FUNC
