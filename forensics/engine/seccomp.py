"""Which system calls a process may make from now on, held by the kernel: a seccomp filter, for itself and for good.

The filter (seccomp(2), Linux 3.17 and later) is a program in classic BPF that looks at each call's number and arguments. What is denied
fails with EPERM, and the process goes on. Threads still start; processes do not. `clone3` answers ENOSYS, since a filter cannot see its
arguments: the C library then uses `clone`. Written for x86-64 and aarch64. `pyseccomp` needs the system's libseccomp, and `seccompy` is
weeks old; the program here is two instructions for each denied call.
"""

import ctypes
import errno
import os
import platform
import struct

from forensics.errors import EngineError

# x86-64's number, aarch64's (`None`: it has no such call): asm/unistd_64.h, asm-generic/unistd.h
DENIED: dict[str, tuple[int | None, int | None]] = {
    # other programs, other processes
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "process_madvise": (440, 440),
    "process_mrelease": (448, 448), "kcmp": (312, 272), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "shmget": (29, 194), "shmat": (30, 196), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180),
    # the network, and every other socket
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201), "accept": (43, 202),
    "accept4": (288, 242), "sendto": (44, 206), "sendmsg": (46, 211), "sendmmsg": (307, 269),
    # what Landlock leaves: owner, mode, times, attributes and size of files that are not opened for writing
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, None), "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54),
    "utime": (132, None), "utimes": (235, None), "futimesat": (261, None), "utimensat": (280, 88),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "setxattrat": (463, 463),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16), "removexattrat": (466, 466),
    "file_setattr": (469, 469), "truncate": (76, 45),
    # name spaces, mounts, devices
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "open_tree": (428, 428), "open_tree_attr": (467, 467), "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431),
    "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442), "swapon": (167, 224), "swapoff": (168, 225),
    "quotactl": (179, 60), "quotactl_fd": (443, 443), "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264),
    "fanotify_init": (300, 262), "mknod": (133, None), "mknodat": (259, 33),
    # large parts of the kernel that no parser needs
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "add_key": (248, 217), "request_key": (249, 218),
    "keyctl": (250, 219), "memfd_secret": (447, 447), "move_pages": (279, 239), "migrate_pages": (256, 238),
    "modify_ldt": (154, None), "personality": (135, 92),
    # the machine
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "reboot": (169, 142), "acct": (163, 89), "syslog": (103, 116), "iopl": (172, None),
    "ioperm": (173, None), "vhangup": (153, 58), "settimeofday": (164, 170), "adjtimex": (159, 171), "clock_settime": (227, 112),
    "clock_adjtime": (305, 266), "sethostname": (170, 161), "setdomainname": (171, 162),
}  # fmt: skip
# Calls that are judged by an argument
JUDGED: dict[str, tuple[int, int]] = {
    "kill": (62, 129), "tgkill": (234, 131), "prlimit64": (302, 261), "ioctl": (16, 29), "clone": (56, 220), "clone3": (435, 435),
}  # fmt: skip
MACHINES = {"x86_64": (0xC000003E, 0, 317), "aarch64": (0xC00000B7, 1, 277)}  # AUDIT_ARCH, column above, number of seccomp itself

_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ/JGE/JSET|K, BPF_RET|K
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_X32 = 0x40000000
_CLONE_THREAD = 0x10000
_CLONE_NEW = 0x7E020080  # CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET, and NEWTIME
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # put characters into a terminal's input
_SET_MODE_FILTER, _TSYNC, _SPEC_ALLOW = 1, 1, 4

_Instruction = tuple[int, int, int, int]  # code, jump when true, jump when false, value: struct sock_filter
_DENY: _Instruction = (_RETURN, 0, 0, _ERRNO | errno.EPERM)
_PASS: _Instruction = (_RETURN, 0, 0, _ALLOW)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def program(machine: str, process: int) -> list[_Instruction]:
    """The filter for a machine (``x86_64``, ``aarch64``) and a process. Raises EngineError for another machine."""
    if machine not in MACHINES:
        raise EngineError(f"no filter is written for the machine {machine!r}")
    architecture, column, _ = MACHINES[machine]
    judged = {name: numbers[column] for name, numbers in JUDGED.items()}
    # a number means another call to another architecture's entry (32 bit on a kernel of 64): that way in is shut first
    found: list[_Instruction] = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, architecture), _DENY, (_LOAD, 0, 0, _NUMBER)]
    if machine == "x86_64":
        found += [(_AT_LEAST, 0, 1, _X32), _DENY]
    for numbers in DENIED.values():
        number = numbers[column]
        if number is not None:
            found += [(_EQUAL, 0, 1, number), _DENY]
    found += [(_EQUAL, 0, 1, judged["clone3"]), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]
    found += _judge(judged["clone"], 0, [(_ANY_BIT, 2, 0, _CLONE_NEW), (_ANY_BIT, 0, 1, _CLONE_THREAD), _PASS, _DENY])
    for name in ("kill", "tgkill"):  # a process may end itself: that is how abort() works
        found += _judge(judged[name], 0, [(_EQUAL, 0, 1, process), _PASS, _DENY])
    found += _judge(judged["prlimit64"], 0, [(_EQUAL, 1, 0, 0), (_EQUAL, 0, 1, process), _PASS, _DENY])
    found += _judge(judged["ioctl"], 1, [(_EQUAL, 1, 0, _TIOCSTI), (_EQUAL, 0, 1, _TIOCLINUX), _DENY, _PASS])
    return [*found, _PASS]


def _judge(number: int, argument: int, judgement: list[_Instruction]) -> list[_Instruction]:
    """`judgement`, which returns, over the low half of an argument of a call; all of these are 32 bits wide to the kernel."""
    return [(_EQUAL, 0, 1 + len(judgement), number), (_LOAD, 0, 0, _ARGUMENTS + 8 * argument), *judgement]


def restrict() -> None:
    """Hold this process, and all its threads, to the filter. It must have given up new privileges.

    Raises EngineError where the kernel has no seccomp or refuses, or where no filter is written for this machine.
    """
    machine = platform.machine() if struct.calcsize("P") == 8 else f"{platform.machine()}, 32 bits"
    instructions = program(machine, os.getpid())
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
    filled = _Program(len(instructions), code)
    # SPEC_ALLOW: before Linux 5.16 a filter would also slow the processor down, against attackers who run code of theirs already
    flags = ctypes.c_uint(_TSYNC | _SPEC_ALLOW)
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(ctypes.c_long(MACHINES[machine][2]), ctypes.c_uint(_SET_MODE_FILTER), flags, ctypes.byref(filled))
    if result:
        raise EngineError(f"the kernel refuses it ({os.strerror(ctypes.get_errno())})" if result < 0 else f"thread {result} cannot be held")
