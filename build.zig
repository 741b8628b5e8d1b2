//! Builds libosexec, the shared library behind `mod.ts`.
//!
//!     zig build          the native library and the tests' children, into zig-out/
//!     zig build test     unit tests, formatting, every target compiles, ffi/abi.ts is fresh
//!     zig build abi      rewrite ffi/abi.ts from zig/
//!     zig build programs the unit tests and the spawn storm, into zig-out/programs/
//!     zig build dist     every target, stripped: into zig-out/dist/ and ffi/embedded/
//!     zig build windows  the libraries for Windows, into zig-out/dist/, and what their tests take
//!
//! `-Dchild=libc` builds the library for Linux with the child's way of macOS, fork and libc, so that
//! the whole suite can run on that without a Mac.
//!
//! Nothing here needs a C compiler, a sysroot or the network. On Linux the library links no libc, so
//! one file serves glibc and musl.

const std = @import("std");
const builtin = @import("builtin");
const manifest = @import("build.zig.zon");

/// The platforms a release ships, explicit to the CPU, never the host's: two machines must build the
/// same bytes.
const targets: []const std.Target.Query = &.{
    linux(.x86_64),
    linux(.aarch64),
    macos(.x86_64),
    macos(.aarch64),
};

/// What a library may weigh. Where it is text it is read with the module, at about 0.03 ms a KB; a macOS one is mostly the
/// padding of its segments to 16 KiB pages. Linux's has grown from 56 KiB by terminals (2), what tells the usage of who
/// runs (2), what pairs sockets, gives pipes away and takes the step listen_fds (2), and groups, orphans and the thread that
/// lasts (4); and by the steps of the sandbox, mounts above all.
const linux_size_max = 96 * 1024;
const macos_size_max = 128 * 1024;

/// Their text is in no module that a program loads, but what npm's package has its files from.
const windows_size_max = 128 * 1024;
const windows_targets: []const std.Target.Query = &.{ windows(.x86_64), windows(.aarch64) };

fn linux(arch: std.Target.Cpu.Arch) std.Target.Query {
    return .{ .cpu_arch = arch, .cpu_model = .baseline, .os_tag = .linux, .abi = .none };
}

fn windows(arch: std.Target.Cpu.Arch) std.Target.Query {
    return .{ .cpu_arch = arch, .cpu_model = .baseline, .os_tag = .windows, .abi = .gnu };
}

fn macos(arch: std.Target.Cpu.Arch) std.Target.Query {
    // The oldest release that Deno and Bun both support. Zig's own default is newer.
    const oldest: std.SemanticVersion = .{ .major = 13, .minor = 0, .patch = 0 };
    return .{
        .cpu_arch = arch,
        .cpu_model = .baseline,
        .os_tag = .macos,
        .os_version_min = .{ .semver = oldest },
    };
}

comptime {
    // One version, not a range: another compiler would write other bytes into ffi/embedded/.
    if (!std.mem.eql(u8, manifest.minimum_zig_version, builtin.zig_version_string)) {
        @compileError(std.fmt.comptimePrint("osexec is built with zig {s}; this is {s}", .{
            manifest.minimum_zig_version,
            builtin.zig_version_string,
        }));
    }
}

/// How a child gets from the parent to exec: by system calls alone, or by fork and libc's functions.
const Child = enum { raw, libc };

pub fn build(b: *std.Build) void {
    const target = b.standardTargetOptions(.{});
    const optimize = b.standardOptimizeOption(.{});
    const chosen = b.option(Child, "child", "How a child is made on Linux (default: raw)");
    const child = childOf(target, chosen orelse .raw);
    const test_filters = b.option(
        []const []const u8,
        "test-filter",
        "Run only the unit tests whose names contain this",
    ) orelse &.{};

    // Artifacts first, attached to nothing; what each command does is at the end.
    const native = addLibrary(b, target, optimize, child);
    const helper = addChild(b, "helper", target);
    const impersonator = addChild(b, "impersonator", target);
    const abi_ts = b.addRunArtifact(addTool(b, "abi_gen")).captureStdOut(.{ .basename = "abi.ts" });
    const abi_update = b.addUpdateSourceFiles();
    abi_update.addCopyFileToSource(abi_ts, "ffi/abi.ts");
    const abi_check = b.addCheckFile(abi_ts, .{ .expected_exact = @embedFile("ffi/abi.ts") });
    abi_check.setName("ffi/abi.ts is fresh; if not, run `zig build abi`");

    const format_check = b.addFmt(.{
        .paths = &.{ b.path("build.zig"), b.path("zig") },
        .check = true,
    });

    const test_step = b.step("test", "Run the unit tests and every static check");
    test_step.dependOn(&format_check.step);
    test_step.dependOn(&abi_check.step);
    for (std.enums.values(Child)) |each| {
        if (childOf(target, each) != each) continue;
        const run_tests = b.addRunArtifact(addTests(b, target, optimize, each, test_filters));
        // They start processes and look at the machine: yesterday's answer would be none.
        run_tests.has_side_effects = true;
        test_step.dependOn(&run_tests.step);
        test_step.dependOn(&addLibrary(b, target, .safe, each).step);
        // What an optimizer may take for known is looked at as it is shipped.
        const optimized = b.addRunArtifact(addTests(b, target, .safe, each, &.{"optimizer"}));
        optimized.has_side_effects = true;
        test_step.dependOn(&optimized.step);
    }

    const dist_step = b.step("dist", "Build every target and rewrite ffi/embedded/");
    const embed_gen = addTool(b, "embed_gen");
    const embedded_update = b.addUpdateSourceFiles();
    dist_step.dependOn(&embedded_update.step);
    for (targets) |query| {
        const is_linux = query.os_tag.? == .linux;
        const resolved = b.resolveTargetQuery(query);
        const library = addLibrary(b, resolved, .safe, childOf(resolved, .raw));
        const name = b.fmt("{t}_{t}", .{ query.cpu_arch.?, query.os_tag.? });
        const size_max: u32 = if (is_linux) linux_size_max else macos_size_max;
        const install = addEmbedded(b, library, name, embed_gen, embedded_update, size_max);
        dist_step.dependOn(&install.step);
        test_step.dependOn(&library.step);
        // They run on a Mac; elsewhere they must compile at least.
        if (!is_linux) {
            test_step.dependOn(&addTests(b, resolved, .debug, .libc, test_filters).step);
        }
    }

    const windows_step = b.step("windows", "The libraries for Windows, and for Wine their tests and a child");
    for (windows_targets) |query| {
        const resolved = b.resolveTargetQuery(query);
        const library = addLibrary(b, resolved, .safe, .libc);
        const arch = query.cpu_arch.?;
        const name = b.fmt("{t}_windows", .{arch});
        const install = addEmbedded(b, library, name, embed_gen, embedded_update, windows_size_max);
        dist_step.dependOn(&install.step);
        windows_step.dependOn(&install.step);
        const unit_tests = addWindowsTests(b, resolved, test_filters);
        // They run under Wine, on x86_64; elsewhere they must compile at least.
        test_step.dependOn(&library.step);
        test_step.dependOn(&unit_tests.step);
        if (arch != .x86_64) continue;
        for ([_]*std.Build.Step.Compile{ unit_tests, addChild(b, "windows_child", resolved), addPrng(b, resolved) }) |program| {
            const where: std.Build.InstallDir = .{ .custom = "windows" };
            const own = b.addInstallArtifact(program, .{ .dest_dir = .{ .override = where }, .pdb_dir = .disabled });
            windows_step.dependOn(&own.step);
        }
    }
    // What of it is arithmetic.
    test_step.dependOn(&b.addRunArtifact(addWindowsTests(b, target, test_filters)).step);

    const programs_step = b.step("programs", "The unit tests and the storm, to run elsewhere");
    for (std.enums.values(Child)) |each| {
        if (childOf(target, each) != each) continue;
        const unit_tests = addTests(b, target, optimize, each, test_filters);
        for ([_]*std.Build.Step.Compile{ unit_tests, addStorm(b, target, each) }) |program| {
            const place: std.Build.InstallDir = .{ .custom = "programs" };
            const install = b.addInstallArtifact(program, .{ .dest_dir = .{ .override = place } });
            programs_step.dependOn(&install.step);
        }
    }

    const abi_step = b.step("abi", "Rewrite ffi/abi.ts from zig/");
    abi_step.dependOn(&abi_update.step);

    b.installArtifact(native);
    b.installArtifact(helper);
    b.installArtifact(impersonator);
}

/// A library as a file of zig-out/dist/, which is what is answered, and as text of ffi/embedded/.
fn addEmbedded(
    b: *std.Build,
    library: *std.Build.Step.Compile,
    name: []const u8,
    embed_gen: *std.Build.Step.Compile,
    embedded: *std.Build.Step.UpdateSourceFiles,
    size_max: u32,
) *std.Build.Step.InstallFile {
    const embed = b.addRunArtifact(embed_gen);
    embed.addFileArg(library.getEmittedBin());
    embed.addArg(name);
    embed.addArg(b.fmt("{d}", .{size_max}));
    const module = embed.captureStdOut(.{ .basename = b.fmt("{s}.ts", .{name}) });
    embedded.addCopyFileToSource(module, b.fmt("ffi/embedded/{s}.ts", .{name}));
    const suffix = library.rootModuleTarget().dynamicLibSuffix();
    const file = b.fmt("libosexec-{s}{s}", .{ name, suffix });
    return b.addInstallFileWithDir(library.getEmittedBin(), .{ .custom = "dist" }, file);
}

/// A program that the tests run as a child: static, so that it runs in an empty chroot too.
fn addChild(
    b: *std.Build,
    comptime name: []const u8,
    target: std.Build.ResolvedTarget,
) *std.Build.Step.Compile {
    return b.addExecutable(.{
        .name = name,
        .root_module = b.createModule(.{
            .root_source_file = b.path("zig/tools/" ++ name ++ ".zig"),
            .target = target,
            .optimize = .small,
            .strip = true,
            .single_threaded = true,
        }),
    });
}

/// macOS has one way only: its system calls are libSystem's functions.
fn childOf(target: std.Build.ResolvedTarget, wanted: Child) Child {
    return if (target.result.os.tag == .linux) wanted else .libc;
}

/// What the sources import as "options".
fn addOptions(b: *std.Build, module: *std.Build.Module, child: Child) void {
    const options = b.addOptions();
    options.addOption(Child, "child", child);
    module.addOptions("options", options);
}

/// A program that runs during the build, on the machine that builds.
fn addTool(b: *std.Build, comptime name: []const u8) *std.Build.Step.Compile {
    const module = b.createModule(.{
        .root_source_file = b.path("zig/tools/" ++ name ++ ".zig"),
        .target = b.graph.host,
    });
    addSelf(b, module, childOf(b.graph.host, .raw));
    return b.addExecutable(.{ .name = name, .root_module = module });
}

/// What the programs of `zig/tools/` import as "osexec".
fn addSelf(b: *std.Build, module: *std.Build.Module, child: Child) void {
    const self = b.createModule(.{ .root_source_file = b.path("zig/osexec.zig") });
    addOptions(b, self, child);
    module.addImport("osexec", self);
}

/// With a libc, as the library has one in its host: for threads, and for the libc child.
fn addTests(
    b: *std.Build,
    target: std.Build.ResolvedTarget,
    optimize: std.builtin.Optimize,
    child: Child,
    filters: []const []const u8,
) *std.Build.Step.Compile {
    const module = b.createModule(.{
        .root_source_file = b.path("zig/tests.zig"),
        .target = target,
        .optimize = optimize,
        .link_libc = true,
    });
    addOptions(b, module, child);
    return b.addTest(.{
        .name = b.fmt("test-{t}", .{child}),
        .root_module = module,
        .filters = filters,
    });
}

/// What of `zig/windows/` can be tested without a runtime.
fn addWindowsTests(
    b: *std.Build,
    target: std.Build.ResolvedTarget,
    filters: []const []const u8,
) *std.Build.Step.Compile {
    const module = b.createModule(.{
        .root_source_file = b.path("zig/windows_tests.zig"),
        .target = target,
        .optimize = .debug,
    });
    addOptions(b, module, .libc);
    return b.addTest(.{ .name = "windows-tests", .root_module = module, .filters = filters });
}

/// What Bun looks for in Windows 10's bcryptprimitives.dll, and Wine 8 has not.
fn addPrng(b: *std.Build, target: std.Build.ResolvedTarget) *std.Build.Step.Compile {
    return b.addLibrary(.{
        .name = "bcryptprimitives",
        .linkage = .dynamic,
        .root_module = b.createModule(.{
            .root_source_file = b.path("zig/tools/bcryptprimitives.zig"),
            .target = target,
            .optimize = .small,
            .strip = true,
        }),
    });
}

/// The spawn storm: static, but for the child that is libc's.
fn addStorm(b: *std.Build, target: std.Build.ResolvedTarget, child: Child) *std.Build.Step.Compile {
    const module = b.createModule(.{
        .root_source_file = b.path("zig/tools/storm.zig"),
        .target = target,
        .optimize = .safe,
        .link_libc = child == .libc,
    });
    addSelf(b, module, child);
    return b.addExecutable(.{ .name = b.fmt("storm-{t}", .{child}), .root_module = module });
}

fn addLibrary(
    b: *std.Build,
    target: std.Build.ResolvedTarget,
    optimize: std.builtin.Optimize,
    child: Child,
) *std.Build.Step.Compile {
    const module = b.createModule(.{
        .root_source_file = b.path("zig/lib.zig"),
        .target = target,
        .optimize = optimize,
        // Darwin has no stable system call numbers; libSystem is its kernel interface.
        .link_libc = target.result.os.tag.isDarwin(),
        // Several JavaScript threads share the library's memory: atomics must be real ones.
        .single_threaded = false,
        .strip = optimize != .debug,
        .unwind_tables = .none,
        // Its failure would be libc's to report: on stderr, from a forked child perhaps.
        .stack_protector = false,
    });
    addOptions(b, module, child);
    const library = b.addLibrary(.{
        .name = "osexec",
        .linkage = .dynamic,
        .root_module = module,
    });
    // A strong undefined symbol is a hidden dependency on the host's libc: refuse to link one.
    library.link_z_defs = target.result.os.tag == .linux;
    library.bundle_ubsan_rt = false;
    return library;
}
