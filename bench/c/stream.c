#define _GNU_SOURCE
#include "stream.h"
#include "spawn.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static size_t chunk_size(enum transport transport) {
  switch (transport) {
  case TRANSPORT_PIPE_64K: return 64 * 1024;
  case TRANSPORT_SOCKET: return 256 * 1024;
  default: return 1024 * 1024;
  }
}

// ends[0] is for reading, ends[1] for writing.
static void connect_ends(enum transport transport, int ends[2]) {
  if (transport == TRANSPORT_SOCKET) {
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) die("socketpair");
    return;
  }
  if (pipe2(ends, O_CLOEXEC)) die("pipe2");
  if (transport != TRANSPORT_PIPE_1M) return;
  if (fcntl(ends[0], F_SETPIPE_SZ, 1024 * 1024) < 0) die("F_SETPIPE_SZ");
}

static char *map_chunk(size_t length) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE;
  char *chunk = mmap(NULL, length, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (chunk == MAP_FAILED) die("mmap");
  memset(chunk, 'x', length);
  return chunk;
}

long drain(enum transport transport, const char *program, int mebibytes) {
  char number[16];
  snprintf(number, sizeof number, "%d", mebibytes);
  char *argv[] = {(char *)program, number, NULL};
  int ends[2];
  connect_ends(transport, ends);
  struct child child = {WAY_VFORK, argv, {-1, ends[1], -1}};
  pid_t pid = start(&child);
  close(ends[1]);
  size_t length = chunk_size(transport);
  char *chunk = map_chunk(length);
  long total = 0;
  ssize_t got;
  while ((got = read(ends[0], chunk, length)) > 0) total += got;
  if (got < 0) die("read");
  close(ends[0]);
  wait_for(pid);
  munmap(chunk, length);
  return total;
}

long feed(enum transport transport, const char *program, int mebibytes) {
  char number[16];
  snprintf(number, sizeof number, "%d", mebibytes);
  char *argv[] = {(char *)program, number, NULL};
  int ends[2];
  connect_ends(transport, ends);
  struct child child = {WAY_VFORK, argv, {ends[0], -1, -1}};
  pid_t pid = start(&child);
  close(ends[0]);
  size_t length = chunk_size(transport);
  char *chunk = map_chunk(length);
  long whole = (long)mebibytes << 20, total = 0;
  while (total < whole) {
    size_t offset = total % length;
    ssize_t put = write(ends[1], chunk + offset, length - offset);
    if (put < 0) die("write");
    total += put;
  }
  close(ends[1]);
  wait_for(pid);
  munmap(chunk, length);
  return total;
}
