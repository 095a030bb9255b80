#ifndef UPSTREAM_PIPELINE_P_H
#define UPSTREAM_PIPELINE_P_H
/* Commands of a link as its files share them: the queue (pipeline.c), octets of one (wire.c), IDLE and
 * whether the server is still there (idle.c).                                        Thread: loop. */
#include "link_p.h"

/* --- pipeline.c --- */
/* Something has changed that may let commands go: look at the end of this turn. */
void pipeline__kick(struct link *link);
void pipeline__pump(void *link);
void pipeline__drained(struct link *link);
void pipeline__go_ahead(struct link *link, const struct response *r);
void pipeline__tagged(struct link *link, const struct response *r);
void pipeline__untagged(struct link *link, const struct response *r);
/* First command in flight that wants the literal, or NULL. */
struct upcmd *pipeline__claim(struct link *link, struct unit text, uint64_t size);
/* Somebody has left whose command is still to be answered. */
bool pipeline__has_detached(const struct link *link);
/* Complete everything that there is at this moment, in order. */
void pipeline__fail_all(struct link *link, enum status st);
bool pipeline__is_quiet(const struct link *link);
/* Is a command of the login on its way? */
bool pipeline__has_internal(const struct link *link);
/* Of the login: text into cmd->wire, stops with upcmd__stop(), then pipeline__add(). */
struct upcmd *upcmd__create(struct link *link, unsigned flags, const struct upcmd_ops *ops,
                            void *arg);
void pipeline__add(struct link *link, struct upcmd *cmd);

/* --- wire.c --- */
char *wire__tag(uint32_t tag, char out[LINK__TAG_MAX]);
/* "+" must come before what is added to the wire next. */
void upcmd__stop(struct upcmd *cmd);
/* cmd->parts (and filled) to cmd->wire; more: of an UPCMD_OPEN one, in the place of what it wrote. */
void upcmd__build(struct upcmd *cmd);
void upcmd__build_more(struct upcmd *cmd);
void upcmd__destroy(struct upcmd *cmd);
/* May a literal of that size go without waiting? */
bool wire__is_free(const struct capabilities *caps, uint64_t size);

/* --- idle.c --- */
void idle__init(struct link *link);
/* An octet came within that time. */
bool idle__was_heard(const struct link *link, uint32_t within_ms);
/* A NOOP before all others. */
void idle__ask(struct link *link);
/* IDLE is given again in time, and sooner where somebody waits for it. */
void idle__watch(struct link *link);
/* IDLE may have to begin or end. */
void idle__consider(struct link *link);
void idle__end(struct link *link, const char *why);
void idle__accepted(struct link *link);
void idle__tagged(struct link *link, const struct response *r);

#endif
