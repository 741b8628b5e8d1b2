// The least that a library behind a foreign function interface can cost: one call, and in it no more
// than must be: a runtime has handlers of signals, which must not run in a child that shares its memory.
// With it one sees what of our own cost is the runtime's, and what is ours.
#include "spawn.h"
#include <stdint.h>

int32_t floor_run(const char *path) {
  run(WAY_MASKED, path);
  return 0;
}

int32_t floor_capture(const char *path, char *buffer, int32_t length) {
  return (int32_t)capture(WAY_MASKED, path, buffer, (size_t)length);
}
