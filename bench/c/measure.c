// How long a whole program takes, from its start until it has been waited for.
//
//     measure COUNT PROGRAM [ARGUMENT...]
//
// Not done by the driver itself, as a large process with an event loop is no good watch.
#define _GNU_SOURCE
#include "spawn.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

int main(int argc, char **argv) {
  if (argc < 3) return 64;
  int count = atoi(argv[1]);
  // What the programs print, nothing as a rule, is kept off our own line.
  struct child child = {WAY_VFORK, argv + 2, {-1, 2, -1}};
  struct timespec begin, end;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  for (int i = 0; i < count; i++) wait_for(start(&child));
  clock_gettime(CLOCK_MONOTONIC, &end);
  struct rusage usage;
  getrusage(RUSAGE_CHILDREN, &usage);
  double cpu = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
               (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
  double seconds = (end.tv_sec - begin.tv_sec) + (end.tv_nsec - begin.tv_nsec) * 1e-9;
  printf("{\"seconds\":%.9f,\"cpu\":%.6f}\n", seconds, cpu);
  return 0;
}
