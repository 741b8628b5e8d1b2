// Much data out of a child and into one.
#pragma once

enum transport {
  TRANSPORT_PIPE_1M,  // a pipe grown to 1 MiB, used 1 MiB at a time
  TRANSPORT_PIPE_64K,  // a pipe as it comes, used 64 KiB at a time
  TRANSPORT_SOCKET,  // a socketpair, as Bun and node use it, 256 KiB at a time
};

// Both answer how many bytes went through.
long drain(enum transport transport, const char *program, int mebibytes);
long feed(enum transport transport, const char *program, int mebibytes);
