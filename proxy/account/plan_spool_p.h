#ifndef PLAN_SPOOL_P_H
#define PLAN_SPOOL_P_H
/* Octets that the store cannot take (too large for it, or it is full), in an unlinked file that goes
 * with the last holder.  Appends and reads go through the page cache and may block on the disk: this
 * is the rare way.  Thread: loop. */
#include "base/buf.h"
#include "base/status.h"

struct spool;

enum { PLAN_SPOOL_READ = 64 * 1024 };

/* In memory when @dir is NULL or has no room, as long as it is not too much; then LIMIT. */
enum status spool__create(const char *dir, uint64_t size, struct spool **out) MUST_USE;
enum status spool__append(struct spool *spool, struct slice bytes) MUST_USE;
uint64_t spool__received(const struct spool *spool);
/* As store_content_read(); the octets are put into @buf. */
enum status spool__read(const struct spool *spool, uint64_t offset, size_t max, struct buf *buf,
                        struct slice *out) MUST_USE;
void spool__destroy(struct spool **spool);

#endif
