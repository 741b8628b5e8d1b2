/**
 * The error numbers of Linux and macOS, with their names and texts: a number that the native side
 * answers becomes the same words on every runtime, and the words are Go's.
 */

import type { OS } from "./os.ts";
import { windowsError, windowsFrom } from "./windows/errors.ts";

/** Name and text by number; a number without a row has no name. */
type ErrnoTable = Readonly<Record<number, readonly [code: string, text: string] | undefined>>;

/** The rows that agree in number, name and text. Made when a name is first asked for, as most programs never do. */
const common = (): ErrnoTable => ({
  1: ["EPERM", "operation not permitted"],
  2: ["ENOENT", "no such file or directory"],
  3: ["ESRCH", "no such process"],
  4: ["EINTR", "interrupted system call"],
  5: ["EIO", "input/output error"],
  7: ["E2BIG", "argument list too long"],
  8: ["ENOEXEC", "exec format error"],
  9: ["EBADF", "bad file descriptor"],
  10: ["ECHILD", "no child processes"],
  12: ["ENOMEM", "cannot allocate memory"],
  13: ["EACCES", "permission denied"],
  14: ["EFAULT", "bad address"],
  15: ["ENOTBLK", "block device required"],
  17: ["EEXIST", "file exists"],
  20: ["ENOTDIR", "not a directory"],
  21: ["EISDIR", "is a directory"],
  22: ["EINVAL", "invalid argument"],
  23: ["ENFILE", "too many open files in system"],
  24: ["EMFILE", "too many open files"],
  25: ["ENOTTY", "inappropriate ioctl for device"],
  26: ["ETXTBSY", "text file busy"],
  27: ["EFBIG", "file too large"],
  28: ["ENOSPC", "no space left on device"],
  29: ["ESPIPE", "illegal seek"],
  30: ["EROFS", "read-only file system"],
  31: ["EMLINK", "too many links"],
  32: ["EPIPE", "broken pipe"],
  33: ["EDOM", "numerical argument out of domain"],
});

/** What Linux adds: <asm-generic/errno.h>, as x86_64 and aarch64 have it. */
const linux = (): ErrnoTable => ({
  ...common(),
  6: ["ENXIO", "no such device or address"],
  11: ["EAGAIN", "resource temporarily unavailable"],
  16: ["EBUSY", "device or resource busy"],
  18: ["EXDEV", "invalid cross-device link"],
  19: ["ENODEV", "no such device"],
  34: ["ERANGE", "numerical result out of range"],
  35: ["EDEADLK", "resource deadlock avoided"],
  36: ["ENAMETOOLONG", "file name too long"],
  37: ["ENOLCK", "no locks available"],
  38: ["ENOSYS", "function not implemented"],
  39: ["ENOTEMPTY", "directory not empty"],
  40: ["ELOOP", "too many levels of symbolic links"],
  42: ["ENOMSG", "no message of desired type"],
  43: ["EIDRM", "identifier removed"],
  44: ["ECHRNG", "channel number out of range"],
  45: ["EL2NSYNC", "level 2 not synchronized"],
  46: ["EL3HLT", "level 3 halted"],
  47: ["EL3RST", "level 3 reset"],
  48: ["ELNRNG", "link number out of range"],
  49: ["EUNATCH", "protocol driver not attached"],
  50: ["ENOCSI", "no CSI structure available"],
  51: ["EL2HLT", "level 2 halted"],
  52: ["EBADE", "invalid exchange"],
  53: ["EBADR", "invalid request descriptor"],
  54: ["EXFULL", "exchange full"],
  55: ["ENOANO", "no anode"],
  56: ["EBADRQC", "invalid request code"],
  57: ["EBADSLT", "invalid slot"],
  59: ["EBFONT", "bad font file format"],
  60: ["ENOSTR", "device not a stream"],
  61: ["ENODATA", "no data available"],
  62: ["ETIME", "timer expired"],
  63: ["ENOSR", "out of streams resources"],
  64: ["ENONET", "machine is not on the network"],
  65: ["ENOPKG", "package not installed"],
  66: ["EREMOTE", "object is remote"],
  67: ["ENOLINK", "link has been severed"],
  68: ["EADV", "advertise error"],
  69: ["ESRMNT", "srmount error"],
  70: ["ECOMM", "communication error on send"],
  71: ["EPROTO", "protocol error"],
  72: ["EMULTIHOP", "multihop attempted"],
  73: ["EDOTDOT", "RFS specific error"],
  74: ["EBADMSG", "bad message"],
  75: ["EOVERFLOW", "value too large for defined data type"],
  76: ["ENOTUNIQ", "name not unique on network"],
  77: ["EBADFD", "file descriptor in bad state"],
  78: ["EREMCHG", "remote address changed"],
  79: ["ELIBACC", "can not access a needed shared library"],
  80: ["ELIBBAD", "accessing a corrupted shared library"],
  81: ["ELIBSCN", ".lib section in a.out corrupted"],
  82: ["ELIBMAX", "attempting to link in too many shared libraries"],
  83: ["ELIBEXEC", "cannot exec a shared library directly"],
  84: ["EILSEQ", "invalid or incomplete multibyte or wide character"],
  85: ["ERESTART", "interrupted system call should be restarted"],
  86: ["ESTRPIPE", "streams pipe error"],
  87: ["EUSERS", "too many users"],
  88: ["ENOTSOCK", "socket operation on non-socket"],
  89: ["EDESTADDRREQ", "destination address required"],
  90: ["EMSGSIZE", "message too long"],
  91: ["EPROTOTYPE", "protocol wrong type for socket"],
  92: ["ENOPROTOOPT", "protocol not available"],
  93: ["EPROTONOSUPPORT", "protocol not supported"],
  94: ["ESOCKTNOSUPPORT", "socket type not supported"],
  95: ["ENOTSUP", "operation not supported"],
  96: ["EPFNOSUPPORT", "protocol family not supported"],
  97: ["EAFNOSUPPORT", "address family not supported by protocol"],
  98: ["EADDRINUSE", "address already in use"],
  99: ["EADDRNOTAVAIL", "cannot assign requested address"],
  100: ["ENETDOWN", "network is down"],
  101: ["ENETUNREACH", "network is unreachable"],
  102: ["ENETRESET", "network dropped connection on reset"],
  103: ["ECONNABORTED", "software caused connection abort"],
  104: ["ECONNRESET", "connection reset by peer"],
  105: ["ENOBUFS", "no buffer space available"],
  106: ["EISCONN", "transport endpoint is already connected"],
  107: ["ENOTCONN", "transport endpoint is not connected"],
  108: ["ESHUTDOWN", "cannot send after transport endpoint shutdown"],
  109: ["ETOOMANYREFS", "too many references: cannot splice"],
  110: ["ETIMEDOUT", "connection timed out"],
  111: ["ECONNREFUSED", "connection refused"],
  112: ["EHOSTDOWN", "host is down"],
  113: ["EHOSTUNREACH", "no route to host"],
  114: ["EALREADY", "operation already in progress"],
  115: ["EINPROGRESS", "operation now in progress"],
  116: ["ESTALE", "stale file handle"],
  117: ["EUCLEAN", "structure needs cleaning"],
  118: ["ENOTNAM", "not a XENIX named type file"],
  119: ["ENAVAIL", "no XENIX semaphores available"],
  120: ["EISNAM", "is a named type file"],
  121: ["EREMOTEIO", "remote I/O error"],
  122: ["EDQUOT", "disk quota exceeded"],
  123: ["ENOMEDIUM", "no medium found"],
  124: ["EMEDIUMTYPE", "wrong medium type"],
  125: ["ECANCELED", "operation canceled"],
  126: ["ENOKEY", "required key not available"],
  127: ["EKEYEXPIRED", "key has expired"],
  128: ["EKEYREVOKED", "key has been revoked"],
  129: ["EKEYREJECTED", "key was rejected by service"],
  130: ["EOWNERDEAD", "owner died"],
  131: ["ENOTRECOVERABLE", "state not recoverable"],
  132: ["ERFKILL", "operation not possible due to RF-kill"],
  133: ["EHWPOISON", "memory page has hardware error"],
});

/** What macOS adds: <sys/errno.h>. */
const darwin = (): ErrnoTable => ({
  ...common(),
  6: ["ENXIO", "device not configured"],
  11: ["EDEADLK", "resource deadlock avoided"],
  16: ["EBUSY", "resource busy"],
  18: ["EXDEV", "cross-device link"],
  19: ["ENODEV", "operation not supported by device"],
  34: ["ERANGE", "result too large"],
  35: ["EAGAIN", "resource temporarily unavailable"],
  36: ["EINPROGRESS", "operation now in progress"],
  37: ["EALREADY", "operation already in progress"],
  38: ["ENOTSOCK", "socket operation on non-socket"],
  39: ["EDESTADDRREQ", "destination address required"],
  40: ["EMSGSIZE", "message too long"],
  41: ["EPROTOTYPE", "protocol wrong type for socket"],
  42: ["ENOPROTOOPT", "protocol not available"],
  43: ["EPROTONOSUPPORT", "protocol not supported"],
  44: ["ESOCKTNOSUPPORT", "socket type not supported"],
  45: ["ENOTSUP", "operation not supported"],
  46: ["EPFNOSUPPORT", "protocol family not supported"],
  47: ["EAFNOSUPPORT", "address family not supported by protocol family"],
  48: ["EADDRINUSE", "address already in use"],
  49: ["EADDRNOTAVAIL", "can't assign requested address"],
  50: ["ENETDOWN", "network is down"],
  51: ["ENETUNREACH", "network is unreachable"],
  52: ["ENETRESET", "network dropped connection on reset"],
  53: ["ECONNABORTED", "software caused connection abort"],
  54: ["ECONNRESET", "connection reset by peer"],
  55: ["ENOBUFS", "no buffer space available"],
  56: ["EISCONN", "socket is already connected"],
  57: ["ENOTCONN", "socket is not connected"],
  58: ["ESHUTDOWN", "can't send after socket shutdown"],
  59: ["ETOOMANYREFS", "too many references: can't splice"],
  60: ["ETIMEDOUT", "operation timed out"],
  61: ["ECONNREFUSED", "connection refused"],
  62: ["ELOOP", "too many levels of symbolic links"],
  63: ["ENAMETOOLONG", "file name too long"],
  64: ["EHOSTDOWN", "host is down"],
  65: ["EHOSTUNREACH", "no route to host"],
  66: ["ENOTEMPTY", "directory not empty"],
  67: ["EPROCLIM", "too many processes"],
  68: ["EUSERS", "too many users"],
  69: ["EDQUOT", "disc quota exceeded"],
  70: ["ESTALE", "stale NFS file handle"],
  71: ["EREMOTE", "too many levels of remote in path"],
  72: ["EBADRPC", "RPC struct is bad"],
  73: ["ERPCMISMATCH", "RPC version wrong"],
  74: ["EPROGUNAVAIL", "RPC prog. not avail"],
  75: ["EPROGMISMATCH", "program version wrong"],
  76: ["EPROCUNAVAIL", "bad procedure for program"],
  77: ["ENOLCK", "no locks available"],
  78: ["ENOSYS", "function not implemented"],
  79: ["EFTYPE", "inappropriate file type or format"],
  80: ["EAUTH", "authentication error"],
  81: ["ENEEDAUTH", "need authenticator"],
  82: ["EPWROFF", "device power is off"],
  83: ["EDEVERR", "device error"],
  84: ["EOVERFLOW", "value too large to be stored in data type"],
  85: ["EBADEXEC", "bad executable (or shared library)"],
  86: ["EBADARCH", "bad CPU type in executable"],
  87: ["ESHLIBVERS", "shared library version mismatch"],
  88: ["EBADMACHO", "malformed Mach-o file"],
  89: ["ECANCELED", "operation canceled"],
  90: ["EIDRM", "identifier removed"],
  91: ["ENOMSG", "no message of desired type"],
  92: ["EILSEQ", "illegal byte sequence"],
  93: ["ENOATTR", "attribute not found"],
  94: ["EBADMSG", "bad message"],
  95: ["EMULTIHOP", "EMULTIHOP (Reserved)"],
  96: ["ENODATA", "no message available on STREAM"],
  97: ["ENOLINK", "ENOLINK (Reserved)"],
  98: ["ENOSR", "no STREAM resources"],
  99: ["ENOSTR", "not a STREAM"],
  100: ["EPROTO", "protocol error"],
  101: ["ETIME", "STREAM ioctl timeout"],
  102: ["EOPNOTSUPP", "operation not supported on socket"],
  103: ["ENOPOLICY", "policy not found"],
  104: ["ENOTRECOVERABLE", "state not recoverable"],
  105: ["EOWNERDEAD", "previous owner died"],
  106: ["EQFULL", "interface output queue is full"],
});

/** The names of the numbers that are the same on both systems and that this package refers to. */
type CommonErrno =
  | "EPERM"
  | "ENOENT"
  | "ESRCH"
  | "EINTR"
  | "EIO"
  | "E2BIG"
  | "ENOEXEC"
  | "EBADF"
  | "ECHILD"
  | "ENOMEM"
  | "EACCES"
  | "EEXIST"
  | "ENOTDIR"
  | "EISDIR"
  | "EINVAL"
  | "ENFILE"
  | "EMFILE"
  | "ETXTBSY"
  | "EPIPE";

/** Error numbers that are the same on Linux and macOS. */
export const Errno: Readonly<Record<CommonErrno, number>> = Object.freeze({
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  E2BIG: 7,
  ENOEXEC: 8,
  EBADF: 9,
  ECHILD: 10,
  ENOMEM: 12,
  EACCES: 13,
  EEXIST: 17,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ETXTBSY: 26,
  EPIPE: 32,
});

/**
 * The name of an error number, e.g. "ENOENT"; `errno 999` for a number without one. Of two names
 * for one number it is golang.org/x/sys's ErrnoName: EAGAIN, EDEADLK, and for Linux's 95 ENOTSUP.
 */
export function errnoCode(errno: number, os: OS): string {
  return row(errno, os)?.[0] ?? `errno ${errno}`;
}

/**
 * What Go's syscall.Errno.Error() says, e.g. "no such file or directory"; `errno 999` for a number
 * without a text.
 */
export function errnoText(errno: number, os: OS): string {
  return row(errno, os)?.[1] ?? `errno ${errno}`;
}

/** EAGAIN, which is also EWOULDBLOCK: 35 on macOS, 11 elsewhere. */
export function wouldBlock(os: OS): number {
  return os === "darwin" ? 35 : 11;
}

/** As the user has it: of Windows' own what GetLastError says. */
export function shownErrno(errno: number, os: OS): number {
  return os === "win32" && errno >= windowsFrom ? errno - windowsFrom : errno;
}

/** Windows has the names of Linux for what its native side gives in Linux's numbers. */
let linuxTable: ErrnoTable | undefined;
let darwinTable: ErrnoTable | undefined;

function row(errno: number, os: OS): readonly [code: string, text: string] | undefined {
  if (os === "darwin") return (darwinTable ??= darwin())[errno];
  const own = os === "win32" ? windowsError(errno) : undefined;
  return own ?? (linuxTable ??= linux())[errno];
}
