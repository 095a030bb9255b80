#ifndef BASE_CHECK_H
#define BASE_CHECK_H
/* CHECK: a broken invariant of ours ends the process, in release too.  DCHECK: debug builds only,
 * for costly checks.  Nothing a peer sends may reach a CHECK. */

void check_failed(const char *expression, const char *file, int line) __attribute__((noreturn, cold));

#define CHECK(x) ((x) ? (void)0 : check_failed(#x, __FILE__, __LINE__))
#ifdef IMAPCACHED_DEBUG
#define DCHECK(x) CHECK(x)
#else
#define DCHECK(x) ((void)sizeof(x))
#endif

#endif
