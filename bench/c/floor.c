// The least that a library behind a foreign function interface can cost: one call, and in it no more
// than must be. With it one sees what of our own cost is the runtime's, and what is ours.
#define _GNU_SOURCE
#include "spawn.h"
#include <signal.h>
#include <stdint.h>

// A runtime has handlers of signals, which must not run in a child that shares its memory.
static sigset_t block_signals(void) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  return before;
}

int32_t floor_run(const char *path) {
  sigset_t before = block_signals();
  run(WAY_VFORK, path);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return 0;
}

int32_t floor_capture(const char *path, char *buffer, int32_t length) {
  sigset_t before = block_signals();
  int32_t total = (int32_t)capture(WAY_VFORK, path, buffer, (size_t)length);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return total;
}
