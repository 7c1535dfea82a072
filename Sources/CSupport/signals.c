// Fatal signals end the process. Swift's backtracer, where it is installed, prints its report and returns: a fault then
// comes again, but a signal that was sent (kill -ABRT) would have done nothing more than print.
#include "CSuanpanSupport.h"
#include <signal.h>
#include <unistd.h>

static const int fatal[] = {SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV};
static struct sigaction before[NSIG];

static void end(int number, siginfo_t *info, void *context) {
  // A fault of this thread, or what this process has sent itself, as abort() does: worth a report. What others send is not.
  const int own = info->si_code > 0 || info->si_pid == getpid();
  if (own && (before[number].sa_flags & SA_SIGINFO)) before[number].sa_sigaction(number, info, context);
  if (own && !(before[number].sa_flags & SA_SIGINFO)) before[number].sa_handler(number);
  struct sigaction none = {.sa_handler = SIG_DFL};
  sigaction(number, &none, NULL);
  if (info->si_code > 0) return;
  if (getpid() == 1) _exit(128 + number);
  // Blocked until this returns, and then delivered: whoever waits for the process sees the signal itself.
  raise(number);
}

void suanpan_die_of_fatal_signals(void) {
  for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++) {
    const int number = fatal[i];
    struct sigaction ours = {0};
    if (sigaction(number, NULL, &before[number])) continue;
    if (!(before[number].sa_flags & SA_SIGINFO) &&
        (before[number].sa_handler == SIG_DFL || before[number].sa_handler == SIG_IGN))
      continue;
    ours.sa_sigaction = end;
    ours.sa_mask = before[number].sa_mask;
    ours.sa_flags = SA_SIGINFO | (before[number].sa_flags & SA_ONSTACK);
    sigaction(number, &ours, NULL);
  }
}

static void leave(int number) { _exit(128 + number); }

void suanpan_end_as_first_process(void) {
  static const int ending[] = {SIGHUP, SIGINT, SIGQUIT, SIGABRT, SIGALRM, SIGTERM, SIGUSR1, SIGUSR2};
  if (getpid() != 1) return;
  for (size_t i = 0; i < sizeof ending / sizeof *ending; i++) {
    struct sigaction action;
    if (sigaction(ending[i], NULL, &action) || (action.sa_flags & SA_SIGINFO) || action.sa_handler != SIG_DFL) continue;
    action = (struct sigaction){.sa_handler = leave};
    sigaction(ending[i], &action, NULL);
  }
}
