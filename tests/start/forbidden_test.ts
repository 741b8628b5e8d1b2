/** What a start says where the system forbids its namespaces or mounts: the step, the reason, and what would allow it. */

import { lstatSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import {
  CLONE_NEWNS,
  CLONE_NEWUSER,
  type Mount,
  sandbox,
  startProcess,
  type SysProcAttr,
} from "../../mod.ts";
import { needsCall } from "../refused.ts";
import {
  drive,
  type DriverCase,
  type DriverResult,
  helper,
  needsUser,
  needsUserNamespaces,
  ownMaps,
  self,
  spawnFailure,
  temporaryFolder,
} from "../system.ts";

const needs = needsUserNamespaces;

/** As root of a user namespace: this user. */
const outer: SysProcAttr = { cloneflags: CLONE_NEWUSER | CLONE_NEWNS, ...ownMaps() };

/** Without a filter, which does not pass through the driver's JSON. */
const boxed: DriverCase = {
  sys: sandbox({ readOnly: ["/usr", helper], proc: true, seccomp: false }),
};

function said(result: DriverResult | undefined): string {
  const { step = "none", code = "", message = "" } = result?.failure ?? {};
  return `${step} ${code} ${message}`;
}

function hint(sys: SysProcAttr): [step: string, hint: string | undefined] {
  const error = spawnFailure(() => startProcess(helper, ["helper", "exit", "0"], { sys }));
  return [error.step, error.hint];
}

test("issue 17, 12: forbidden: user namespaces are switched off", { skip: needs }, () => {
  // Of a user namespace its root may say how many there may be below it.
  const script = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"';
  const [first, made] = drive([boxed, { sys: { unshareflags: CLONE_NEWUSER } }], {
    under: ["/bin/sh", "-c", script, "sh"],
    attr: { sys: outer },
  });
  for (const [step, result] of [["clone", first], ["unshare", made]] as const) {
    const text = said(result);
    assert(text.startsWith(`${step} ENOSPC `), text);
    assert(text.includes("sysctl user.max_user_namespaces allows so many"), text);
  }
});

test("issue 17, 12: forbidden: a filter refuses user namespaces, as a container's does", {
  skip: needs || needsCall(),
}, () => {
  const [result] = drive([{ sys: { unshareflags: CLONE_NEWUSER } }], {
    under: [helper, "deny", "unshare", "EPERM", "--"],
  });
  const text = said(result);
  assert(text.startsWith("unshare EPERM "), text);
  assert(text.includes("under a seccomp filter"), text);
});

test("issue 17, 12: forbidden: by what distributions have added to the kernel", {
  skip: needs || needsCall(),
}, () => {
  using folder = temporaryFolder();
  // As this kernel has no such settings they are made, where the driver finds them; and what they do a filter does.
  const withSetting = (name: string, value: string): SysProcAttr => {
    const path = `${folder.path}/${name}`;
    writeFileSync(path, `${value}\n`);
    const mounts: Mount[] = [
      { type: "tmpfs", target: "/proc/sys/kernel" },
      { type: "bind", source: path, target: `/proc/sys/kernel/${name}` },
    ];
    // Without capabilities, as an ordinary user.
    return { ...outer, ...ownMaps(1234), pivotRoot: "/", mounts };
  };
  const user: DriverCase = { sys: { unshareflags: CLONE_NEWUSER } };
  const mounts: Mount[] = [{ type: "tmpfs", target: "/tmp" }];
  const mount: DriverCase = { sys: { unshareflags: CLONE_NEWUSER | CLONE_NEWNS, mounts } };
  const refused = (one: DriverCase, call: string, errno: string, sys: SysProcAttr): string =>
    said(drive([one], { under: [helper, "deny", call, errno, "--"], attr: { sys } })[0]);
  const debian = refused(user, "unshare", "EPERM", withSetting("unprivileged_userns_clone", "0"));
  assert(debian.startsWith("unshare EPERM "), debian);
  assert(debian.includes("sysctl kernel.unprivileged_userns_clone=1 allows them"), debian);
  const ubuntu = withSetting("apparmor_restrict_unprivileged_userns", "1");
  for (
    const [one, call, step] of [[user, "unshare", "unshare"], [mount, "fsopen", "mount"]] as const
  ) {
    const text = refused(one, call, "EACCES", ubuntu);
    assert(text.startsWith(`${step} EACCES `), text);
    assert(text.includes("AppArmor lets only programs whose profile says"), text);
  }
  // What is switched the other way is no reason.
  const other = refused(
    mount,
    "fsopen",
    "EACCES",
    withSetting("apparmor_restrict_unprivileged_userns", "0"),
  );
  assert(other.endsWith("permission denied"), other);
});

test("issue 17, 12: forbidden: a /proc of which parts are covered, as in a container", {
  skip: needs,
}, () => {
  const mounts: Mount[] = [{ type: "mask", target: "/proc/version" }];
  const bound = sandbox({ readOnly: ["/usr", "/proc", helper], seccomp: false });
  const sys = { ...outer, ...ownMaps(self.uid), mounts };
  const [refused, bind] = drive([boxed, { sys: bound }], { attr: { sys } });
  const text = said(refused);
  assert(text.startsWith("mount EPERM "), text);
  assert(text.includes("mount proc /proc"), text);
  assert(text.includes("covered (/proc/version)"), text);
  assert(text.includes("a bind of /proc will do"), text);
  // And so it does.
  assertEquals(bind?.failure, null);
});

test("issue 17, 12: forbidden: in a chroot there is neither a user namespace nor another root", {
  skip: needs,
}, () => {
  // This machine's directories, in one that is no mount.
  const mounts: Mount[] = [{ type: "tmpfs", target: "/" }];
  for (const name of readdirSync("/")) {
    const status = lstatSync(`/${name}`);
    if (!status.isDirectory() && !status.isSymbolicLink()) continue;
    mounts.push({ type: "bind", source: `/${name}`, target: `/in/${name}` });
  }
  const sys = { ...outer, pivotRoot: "/", mounts, chroot: "/in" };
  const root: SysProcAttr = { cloneflags: CLONE_NEWNS, pivotRoot: "/" };
  const [user, pivot] = drive([{ sys: { unshareflags: CLONE_NEWUSER } }, { sys: root }], {
    attr: { sys },
  }).map(said);
  assert(user?.startsWith("unshare EPERM "), user);
  assert(user?.includes("it may make no user namespace"), user);
  assert(pivot?.startsWith("mount_private EINVAL "), pivot);
  assert(pivot?.includes("it cannot be changed as one"), pivot);
});

test("issue 17, 7: of a bind it is said what is missing, and of a remount that there is no mount", {
  skip: needs,
}, () => {
  using folder = temporaryFolder();
  const from = (mount: Mount): [string, string | undefined] => hint({ ...outer, mounts: [mount] });
  const none = `${folder.path}/none`;
  assertEquals(
    from({ type: "bind", source: none, target: folder.path }),
    ["mount", `${none} does not exist`],
  );
  assertEquals(
    from({ type: "bind", source: folder.path, target: none }),
    ["mount", `${none} does not exist`],
  );
  assertEquals(
    from({ type: "remount", target: folder.path, readOnly: true }),
    ["remount", "it is no mount point: a bind of it onto itself makes it one"],
  );
  assertEquals(from({ type: "bind", source: "/", target: folder.path, recursive: false }), [
    "mount",
    "what is mounted below it has to come with it into another user namespace: recursive",
  ]);
  mkdirSync(`${folder.path}/ro`);
  const mounts: Mount[] = [
    { type: "bind", source: folder.path, target: "/", readOnly: true },
    { type: "tmpfs", target: "/ro/none" },
  ];
  assertEquals(hint({ ...outer, pivotRoot: "/", mounts }), [
    "mount",
    "there is nothing at /ro/none to mount it on, and in what is read-only nothing can be made",
  ]);
});

test("issue 17, 7: of a program that the new root does not have it is said why it is not found", {
  skip: needs,
}, () => {
  const mounts: Mount[] = [{ type: "tmpfs", target: "/" }];
  const [step, words] = hint({ ...outer, pivotRoot: "/", mounts });
  assertEquals(step, "exec");
  assert(words?.startsWith("below pivotRoot it sees what mounts puts there"), words);
});

test("issue 17, 7: an ordinary user is told what mounts take", { skip: needs || needsUser }, () => {
  const mounts: Mount[] = [{ type: "tmpfs", target: "/tmp" }];
  const [step] = hint({ cloneflags: CLONE_NEWNS, mounts });
  assertEquals(step, "clone");
  assertEquals(hint({ unshareflags: CLONE_NEWNS, mounts })[0], "unshare");
});
