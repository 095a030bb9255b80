#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H
/* Time.  Modules take `now_ms` as a parameter where they can, so that tests choose it.
 * Thread: any. */
#include <stdint.h>

/* Monotonic milliseconds since an arbitrary point. */
uint64_t clock_mono_ms(void);
uint64_t clock_mono_us(void);
/* Seconds since 1970. */
int64_t clock_wall_s(void);

#endif
