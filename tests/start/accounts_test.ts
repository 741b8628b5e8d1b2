/** Users and groups by their names. */

import { readFileSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Command, type Credential, SpawnError } from "../../mod.ts";
import { Directory, environmentWith, needsRoot, runScript, wrong } from "../helper.ts";
import process from "node:process";

/** What a start by this credential would set: groups, gid, uid. */
function steps(credential: Credential): Record<string, string> {
  const lines = new Command("true", [], { sysProcAttr: { credential } }).explain().split("\n");
  const found = lines.map((line) => /^(setgroups|setgid|setuid) (.*)$/.exec(line)).filter(Boolean);
  return Object.fromEntries(found.map((match) => [match?.[1], match?.[2]]));
}

async function id(...words: string[]): Promise<string> {
  return (await new Command("id", words).text()).trim();
}

const sorted = (list = ""): number[] =>
  (list.match(/\d+/g) ?? []).map(Number).sort((a, b) => a - b);

test("issue 18, 6: each user of /etc/passwd has the ids and groups that id(1) tells", async () => {
  const names = readFileSync("/etc/passwd", "utf8").split("\n").map((line) =>
    line.split(":")[0] ?? ""
  )
    .filter(Boolean);
  assert(names.length > 3);
  for (const user of names.slice(0, 30)) {
    const { setgroups, setgid, setuid } = steps({ user });
    assertEquals([setuid, setgid], [await id("-u", user), await id("-g", user)], user);
    assertEquals(sorted(setgroups), sorted(await id("-G", user)), user);
  }
});

test("issue 18, 6: what is given beside a name counts, and numbers are taken as they are", () => {
  const { setgid = "", setuid = "" } = steps({ user: "daemon" });
  assertEquals(steps({ user: "daemon", groups: [7, 8] }), { setgroups: "[7 8]", setgid, setuid });
  assertEquals(steps({ user: "daemon", groups: [] }).setgroups, "[]");
  assertEquals(steps({ user: "daemon", gid: 77 }).setgid, "77");
  assertEquals(sorted(steps({ user: "daemon", gid: 77 }).setgroups).includes(77), true);
  assertEquals(steps({ user: "daemon", group: "root" }).setgid, "0");
  assertEquals(steps({ user: "daemon", noSetGroups: true }), { setgid, setuid });
  assertEquals(steps({ uid: 5, group: "daemon" }), { setgroups: "[]", setgid, setuid: "5" });
  for (const user of [12345, "12345"]) {
    assertEquals(steps({ user, group: 5 }), { setgroups: "[]", setgid: "5", setuid: "12345" });
  }
});

test(
  "issue 18, 6: a child runs as the user that was named",
  { skip: needsRoot.skip ?? false },
  async () => {
    const child = new Command("id", [], { sysProcAttr: { credential: { user: "daemon" } } });
    assertEquals((await child.text()).trim(), await id("daemon"));
  },
);

test("issue 18, 6: what does not stand in the files is asked of getent", async () => {
  using directory = new Directory();
  directory.file(
    "getent",
    `#!/bin/sh
case "$1 $2" in
  "passwd far") echo "far:*:70001:70002:Far:/:/bin/sh" ;;
  "passwd odd") echo "odd:*:::Odd:/:/bin/sh" ;;
  "group away") echo "away:*:70003:" ;;
  "initgroups far") echo "far                   70004 70005" ;;
  *) exit 2 ;;
esac
`,
    0o755,
  );
  const { code, stdout, stderr } = await runScript(
    `
    import fs from "node:fs";
    const explain = (credential) => {
      const lines = new osexec.Command("/bin/true", [], { sysProcAttr: { credential } }).explain().split("\\n");
      return lines.filter((line) => line.startsWith("set")).join();
    };
    console.log(explain({ user: "far" }));
    console.log(explain({ user: "far", group: "away" }));
    const count = () => fs.readdirSync("/proc/self/fd").length;
    const before = count();
    for (let times = 0; times < 20; times++) explain({ user: "far" });
    console.log(count() - before);
    for (const user of ["nobody-of-this-name", "odd"]) {
      try {
        explain({ user });
      } catch (error) {
        console.log(error.message);
      }
    }`,
    { env: environmentWith({ PATH: `${directory.path}:${process.env.PATH}` }) },
  );
  assertEquals([code, stderr], [0, ""]);
  assertEquals(stdout.split("\n"), [
    "setgroups [70002 70004 70005],setgid 70002,setuid 70001",
    "setgroups [70003 70004 70005],setgid 70003,setuid 70001",
    "0",
    'fork/exec /bin/true: there is no user "nobody-of-this-name"',
    "fork/exec /bin/true: uid NaN is not an integer from 0 to 4294967294",
    "",
  ]);
});

test("issue 18, 6: without a getent a name that is in no file is unknown", async () => {
  using directory = new Directory();
  const { stdout } = await runScript(
    `
    try {
      new osexec.Command("/bin/true", [], { sysProcAttr: { credential: { user: "far" } } }).explain();
    } catch (error) {
      console.log(error.message);
    }`,
    { env: environmentWith({ PATH: directory.path }) },
  );
  assertEquals(stdout, 'fork/exec /bin/true: there is no user "far"\n');
});

test("issue 18, bad input: names that nobody has, and what is given twice, are refused before the start", () => {
  const start = (credential: unknown) => () =>
    new Command("/bin/true", [], { sysProcAttr: { credential: wrong(credential) } }).runSync();
  for (
    const [credential, words] of [
      [{ user: "nobody of this name" }, 'there is no user "nobody of this name"'],
      [{ user: "" }, 'there is no user ""'],
      [{ user: "-v" }, 'there is no user "-v"'],
      [{ user: "a\\0b" }, "there is no user"],
      [{ uid: 1, group: "nobody of this name" }, 'there is no group "nobody of this name"'],
      [{ user: "root", uid: 0 }, "which are the same"],
      [{ user: "root", group: "root", gid: 0 }, "which are the same"],
      [{ user: 2 ** 32, gid: 1 }, "uid"],
      [{ user: 1.5, gid: 1 }, "uid"],
    ] as const
  ) {
    assert(assertThrows(start(credential), SpawnError).message.includes(words), words);
  }
  assertThrows(start({ user: {}, gid: 1 }), TypeError, "credential.user");
  assertThrows(start({ uid: 1, group: null }), TypeError, "credential.group");
  assertThrows(start({ user: 5 }), TypeError, "gid");
  assertThrows(start({ group: "root" }), TypeError, "uid");
});
