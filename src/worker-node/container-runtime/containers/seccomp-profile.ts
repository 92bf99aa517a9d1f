// The seccomp filter that `RuntimeDefault` means: a list of system calls that are allowed; all others fail with EPERM. Calls that make or
// enter namespaces, load code into the kernel, or look into other processes come with the capability that rules them. Pure.

interface SyscallRule {
  readonly names: readonly string[]
  readonly action: 'SCMP_ACT_ALLOW' | 'SCMP_ACT_ERRNO'
  readonly errnoRet?: number
  readonly args?: readonly { readonly index: number; readonly value: number; readonly valueTwo?: number; readonly op: string }[]
}

export interface SeccompProfile {
  readonly defaultAction: string
  readonly defaultErrnoRet?: number
  readonly architectures?: readonly string[]
  readonly syscalls?: readonly SyscallRule[]
}

const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== '')

const always = words(`
  read write open close creat readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek _llseek sendfile sendfile64 splice tee vmsplice copy_file_range
  openat openat2 close_range dup dup2 dup3 fcntl fcntl64 flock ioctl pipe pipe2 readahead fadvise64 fadvise64_64 fallocate truncate truncate64 ftruncate ftruncate64
  fsync fdatasync sync syncfs sync_file_range
  stat stat64 lstat lstat64 fstat fstat64 newfstatat fstatat64 statx statfs statfs64 fstatfs fstatfs64 access faccessat faccessat2 readlink readlinkat getdents getdents64 getcwd
  chdir fchdir mkdir mkdirat mknod mknodat rmdir link linkat symlink symlinkat unlink unlinkat rename renameat renameat2 umask utime utimes utimensat utimensat_time64 futimesat
  chmod fchmod fchmodat fchmodat2 chown chown32 fchown fchown32 fchownat lchown lchown32 name_to_handle_at
  getxattr lgetxattr fgetxattr setxattr lsetxattr fsetxattr listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr getxattrat setxattrat listxattrat removexattrat
  inotify_init inotify_init1 inotify_add_watch inotify_rm_watch fanotify_mark
  select _newselect pselect6 pselect6_time64 poll ppoll ppoll_time64 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2
  eventfd eventfd2 signalfd signalfd4 timerfd_create timerfd_settime timerfd_settime64 timerfd_gettime timerfd_gettime64
  io_setup io_submit io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64
  mmap mmap2 munmap mremap mprotect msync mincore madvise brk mlock mlock2 mlockall munlock munlockall memfd_create memfd_secret remap_file_pages membarrier mseal map_shadow_stack
  pkey_alloc pkey_free pkey_mprotect cachestat
  fork vfork execve execveat exit exit_group wait4 waitid waitpid kill tkill tgkill pause getpid getppid gettid getpgid getpgrp getsid setpgid setsid pidfd_open pidfd_send_signal process_mrelease
  getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 getresuid getresuid32 getresgid getresgid32 getgroups getgroups32
  setuid setuid32 setgid setgid32 setreuid setreuid32 setregid setregid32 setresuid setresuid32 setresgid setresgid32 setgroups setgroups32 setfsuid setfsuid32 setfsgid setfsgid32
  capget capset prctl arch_prctl modify_ldt seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self
  rt_sigaction rt_sigprocmask rt_sigpending rt_sigqueueinfo rt_tgsigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 sigaltstack sigprocmask sigreturn restart_syscall
  set_tid_address set_robust_list get_robust_list set_thread_area get_thread_area rseq futex futex_time64 futex_waitv futex_wait futex_wake futex_requeue
  sched_yield sched_getaffinity sched_setaffinity sched_getattr sched_setattr sched_getparam sched_setparam sched_getscheduler sched_setscheduler
  sched_get_priority_max sched_get_priority_min sched_rr_get_interval sched_rr_get_interval_time64 getpriority setpriority ioprio_get ioprio_set getcpu
  getrlimit setrlimit ugetrlimit prlimit64 getrusage times sysinfo uname
  time gettimeofday clock_gettime clock_gettime64 clock_getres clock_getres_time64 clock_nanosleep clock_nanosleep_time64 nanosleep clock_adjtime clock_adjtime64 adjtimex alarm
  getitimer setitimer timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64
  bind connect listen accept accept4 getsockname getpeername socketpair socketcall setsockopt getsockopt shutdown
  send sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg recvmmsg_time64
  ipc shmget shmat shmdt shmctl semget semop semtimedop semtimedop_time64 semctl msgget msgsnd msgrcv msgctl
  mq_open mq_unlink mq_timedsend mq_timedsend_time64 mq_timedreceive mq_timedreceive_time64 mq_notify mq_getsetattr getrandom getrlimit
  ptrace process_vm_readv process_vm_writev riscv_flush_icache riscv_hwprobe cacheflush set_tls breakpoint sync_file_range2 arm_fadvise64_64
`)

/** Calls that a capability brings with it. */
const byCapability: { readonly [capability: string]: readonly string[] } = {
  CAP_DAC_READ_SEARCH: ['open_by_handle_at'],
  CAP_SYS_ADMIN: words(`bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount open_tree open_tree_attr perf_event_open
    quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare statmount listmount`),
  CAP_SYS_BOOT: ['reboot'],
  CAP_SYS_CHROOT: ['chroot'],
  CAP_SYS_MODULE: ['delete_module', 'init_module', 'finit_module'],
  CAP_SYS_PACCT: ['acct'],
  CAP_SYS_PTRACE: ['kcmp', 'pidfd_getfd', 'process_madvise'],
  CAP_SYS_RAWIO: ['iopl', 'ioperm'],
  CAP_SYS_TIME: ['settimeofday', 'stime', 'clock_settime', 'clock_settime64'],
  CAP_SYS_TTY_CONFIG: ['vhangup'],
  CAP_SYS_NICE: ['get_mempolicy', 'mbind', 'set_mempolicy', 'set_mempolicy_home_node'],
  CAP_SYSLOG: ['syslog'],
  CAP_BPF: ['bpf'],
  CAP_PERFMON: ['perf_event_open'],
}

const architecturesOf: { readonly [architecture: string]: readonly string[] } = { x64: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'], arm64: ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'] }
/** CLONE_NEW* flags (mount, cgroup, uts, ipc, user, pid, net). */
const namespaceFlags = 0x7e020000
const vsockFamily = 40
const ENOSYS = 38

/** @param architecture as Node names it */
export function defaultSeccompProfile(capabilities: readonly string[], architecture: string): SeccompProfile {
  const allow = (names: readonly string[], args?: SyscallRule['args']): SyscallRule => ({ names, action: 'SCMP_ACT_ALLOW', ...(args && { args }) })
  const syscalls: SyscallRule[] = [
    allow([...new Set([...always, ...capabilities.flatMap((name) => byCapability[name] ?? [])])]),
    allow(['socket'], [{ index: 0, value: vsockFamily, op: 'SCMP_CMP_NE' }]),
    ...[0x0, 0x8, 0x20000, 0x20008, 0xffffffff].map((persona) => allow(['personality'], [{ index: 0, value: persona, op: 'SCMP_CMP_EQ' }])),
  ]
  if (!capabilities.includes('CAP_SYS_ADMIN')) {
    syscalls.push(allow(['clone'], [{ index: 0, value: namespaceFlags, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }]))
    syscalls.push({ names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS }) // its flags lie in memory that a filter can't read; libc falls back to clone
  }
  return { defaultAction: 'SCMP_ACT_ERRNO', defaultErrnoRet: 1, architectures: architecturesOf[architecture] ?? [], syscalls }
}
