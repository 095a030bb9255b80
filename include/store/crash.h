#ifndef STORE_CRASH_H
#define STORE_CRASH_H
/* A damaged page of a mapped file can kill the process that reads it (SIGBUS, SIGSEGV), and it
 * would die again at every start.  The handler leaves a marker file for the environment concerned,
 * with async-signal-safe calls only, and lets the signal kill the process; store_open() moves a
 * marked environment aside.  A crash that is nobody's in particular (a smashed heap: SIGABRT,
 * SIGSEGV) leaves a marker the second time without an orderly store_close() in between. */

/* Once per process, before threads start.  At most STORE_CRASH_ENVS_MAX environments are covered.
 * Thread: main. */
void store_install_crash_handler(void);

enum { STORE_CRASH_ENVS_MAX = 16 };

#endif
