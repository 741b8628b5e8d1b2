// The contestants in C: the reference that every ratio is to, and a few ways beside it.
//
//     c VARIANT WORKLOAD COUNT WARMUP SIZE
//
// What the arguments mean, and the line of JSON that every contestant prints, is told in
// driver/workloads.mjs.
#define _GNU_SOURCE
#include "spawn.h"
#include "stream.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 64

static const char *workload;
static enum way way = WAY_VFORK;
static enum transport transport = TRANSPORT_PIPE_1M;
static int size;
// Of this process's own before each start, in microseconds.
static int work;

static int is(const char *name) { return !strcmp(workload, name); }

static const char *child_path(const char *name) {
  static char path[4096];
  snprintf(path, sizeof path, "%s/%s", getenv("BENCH_CHILDREN"), name);
  return path;
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec * 1e-9;
}

static double cpu(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
         (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

// ---- the loops

static void sequential(int count) {
  const char *path = child_path("tiny");
  for (int i = 0; i < count; i++) {
    for (double end = now() + work * 1e-6; now() < end;) continue;
    run(way, path);
  }
}

static int left;

static void *parallel_thread(void *path) {
  while (__atomic_fetch_sub(&left, 1, __ATOMIC_RELAXED) > 0) run(way, path);
  return NULL;
}

static void parallel(int count) {
  pthread_t threads[THREADS_MAX];
  void *path = (void *)child_path("tiny");
  left = count;
  if (size > THREADS_MAX) exit(64);
  for (int i = 0; i < size; i++) {
    if (pthread_create(&threads[i], NULL, parallel_thread, path)) exit(1);
  }
  for (int i = 0; i < size; i++) pthread_join(threads[i], NULL);
}

static void captures(int count) {
  const char *path = child_path(workload);
  size_t length = size + 4096;
  for (int i = 0; i < count; i++) {
    // A new one for each, as what the others answer is.
    char *buffer = malloc(length);
    if (capture(way, path, buffer, length) != (size_t)size) exit(3);
    free(buffer);
  }
}

static void draining(int mebibytes) {
  if (drain(transport, child_path("source"), mebibytes) != (long)mebibytes << 20) exit(3);
}

static void feeding(int mebibytes) {
  if (feed(transport, child_path("sink"), mebibytes) != (long)mebibytes << 20) exit(3);
}

// ---- what a process may hold while it starts others

static void hold_heap(void) {
  size_t length = (size_t)size << 20;
  if (length == 0) return;
  char *heap = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (heap == MAP_FAILED) die("mmap");
  for (size_t i = 0; i < length; i += 4096) heap[i] = 1;
}

static void hold_descriptors(void) {
  for (int i = 0; i < size; i++) {
    if (open("/dev/null", O_RDONLY | O_CLOEXEC) < 0) die("open");
  }
}

// The driver looks at this process, and then lets it go on.
static void mark(const char *name) {
  char byte;
  fprintf(stderr, "MARK %s\n", name);
  if (read(0, &byte, 1) != 1) exit(2);
}

static void choose_variant(const char *variant) {
  if (!strcmp(variant, "window")) way = WAY_WINDOW;
  else if (!strcmp(variant, "posix_spawn")) way = WAY_POSIX_SPAWN;
  else if (!strcmp(variant, "working")) work = 40;
  else if (!strcmp(variant, "pipe-64k")) transport = TRANSPORT_PIPE_64K;
  else if (!strcmp(variant, "socket")) transport = TRANSPORT_SOCKET;
  else if (strcmp(variant, "vfork")) exit(64);
}

int main(int argc, char **argv) {
  if (argc != 6) return 64;
  choose_variant(argv[1]);
  workload = argv[2];
  int count = atoi(argv[3]), warmup = atoi(argv[4]);
  size = atoi(argv[5]);

  void (*loop)(int) = is("parallel") || is("memory") ? parallel
                      : is("line") || is("block")    ? captures
                      : is("out")                    ? draining
                      : is("in")                     ? feeding
                                                     : sequential;
  if (is("startup")) {
    loop(1);
    return 0;
  }
  if (is("memory")) mark("fresh");
  if (is("heap") || is("descriptors")) {
    loop(warmup);
    if (is("heap")) hold_heap();
    else hold_descriptors();
  }
  loop(warmup);
  if (is("memory")) mark("warm");
  double cpu_begin = cpu(), begin = now();
  loop(count);
  double seconds = now() - begin, cpu_seconds = cpu() - cpu_begin;
  if (is("memory")) {
    mark("end");
    sleep(1);
    mark("idle");
  }
  printf("{\"seconds\":%.9f,\"cpu\":%.6f}\n", seconds, cpu_seconds);
  return 0;
}
