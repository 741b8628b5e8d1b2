/** examples/sandbox.ts, in this runtime. */

import { existsSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { Command } from "../../mod.ts";
import { Directory, root, runtime } from "../helper.ts";
import { needsUser, needsUserNamespaces } from "../system.ts";

const needs = needsUserNamespaces || (existsSync("/usr/bin/gcc") ? false : "needs gcc");

async function example(
  ...args: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  const [program = "", ...flags] = runtime;
  const command = new Command(program, [...flags, `${root}/examples/sandbox.ts`, ...args]);
  const captured = await command.capture({ check: false });
  return {
    code: captured.state.exitCode,
    stdout: captured.text("stdout"),
    stderr: captured.text("stderr"),
  };
}

test(
  "issue 17, 12: the example: what one would try first comes to nothing",
  { skip: needs },
  async () => {
    const { code, stdout, stderr } = await example();
    assertEquals(code, 0, stderr);
    const lines = new Map(
      stdout.trimEnd().split("\n").map((line): [string, string] => {
        const [what = "", answer = ""] = line.split(": ");
        return [what, answer];
      }),
    );
    const expected = {
      "read /etc/passwd": "No such file or directory",
      "write into /usr": "Read-only file system",
      "write into /": "Read-only file system",
      "reach the network": "Network is unreachable",
      "make /usr writable": "Operation not permitted",
      "make a user namespace": "Operation not permitted",
      "end everybody else": "No such process",
      "fill /tmp": "No space left on device after 63 MiB",
    };
    for (const [what, answer] of Object.entries(expected)) {
      assertEquals(
        lines.get(what),
        answer,
        what,
      );
    }
    assert(/Operation not permitted|Invalid argument/.test(lines.get("become root") ?? ""), stdout);
    assert(!existsSync("/tmp/program"));
  },
);

test("issue 17, 12: the example: what does not compile or prints too much", {
  skip: needs,
}, async () => {
  using directory = new Directory();
  const wrong = await example(directory.file("wrong.c", "int main(void) { return nothing; }"));
  assertEquals(wrong.code, 1);
  assert(wrong.stderr.includes("nothing"), wrong.stderr);
  const talker = '#include <stdio.h>\nint main(void) { for (;;) puts("again and again"); }';
  const much = await example(directory.file("much.c", talker));
  assertEquals(much.code, 1);
  assert(much.stderr.includes("stdout is longer than 1048576 bytes"), much.stderr);
});

test(
  "issue 17, 12: the example: who forks without end has so many processes, and all end with it",
  {
    // The kernel counts nobody's processes who is root outside.
    skip: needs || needsUser,
  },
  async () => {
    using directory = new Directory();
    const forks = `
    #include <stdio.h>
    #include <unistd.h>
    int main(void) {
      int count = 0;
      for (int child; (child = fork()) >= 0; count++) if (child == 0) for (;;) pause();
      printf("%d\\n", count);
    }`;
    const { code, stdout, stderr } = await example(directory.file("forks.c", forks));
    assertEquals(code, 0, stderr);
    assert(Number(stdout) > 0 && Number(stdout) < 32, stdout);
  },
);

test("issue 17, 12: the example: explain", { skip: needs }, async () => {
  const { code, stdout } = await example("--explain");
  assertEquals(code, 0);
  assert(stdout.includes("\nmount bind /usr -> /usr rec ro nosuid nodev\n"), stdout);
  assert(stdout.includes("\nexec /bin/sh\n"), stdout);
});
