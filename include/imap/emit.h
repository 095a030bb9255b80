#ifndef IMAP_EMIT_H
#define IMAP_EMIT_H
/* Writing protocol text to clients.  Into struct buf, sticky.   Thread: any.
 * RFC 3501 section 9, protocol.md F1-F9, T42. */
#include "base/buf.h"
#include "base/ranges.h"
#include "imap/flags.h"
#include "imap/response.h"

/* Quoted where it can be (no NUL CR LF, no 8-bit, at most 1,000 octets), else a literal {n}. */
void emit_string(struct buf *out, struct slice text);
/* Like string, but an atom when it is one. */
void emit_astring(struct buf *out, struct slice text);
/* NIL when data is NULL. */
void emit_nstring(struct buf *out, struct slice text);
/* `{n}CRLF` / `~{n}CRLF`: the octets follow from the caller. */
void emit_literal_header(struct buf *out, uint64_t size, bool is_literal8);
/* Mailbox name in LIST, STATUS: quoted or literal, INBOX as it is. */
void emit_mailbox(struct buf *out, struct slice name);
/* "(\Seen $Forwarded)" of the bits and keywords; IMAP_FLAG_ANY is "\*". */
void emit_flags(struct buf *out, const struct imap_flag_list *flags);

/* "* 3 EXISTS CRLF". */
void emit_number_response(struct buf *out, uint32_t number, const char *name);
/* tag SP cond SP [text] CRLF, e.g. emit_tagged(out, tag, "OK", "FETCH completed."). */
void emit_tagged(struct buf *out, struct slice tag, const char *cond, const char *text);
/* An upstream's text for a client: control and 8-bit octets become "?", cut at 512, never empty. */
void emit_human_text(struct buf *out, struct slice text);
/* "NO [OVERQUOTA] text" from an upstream's tagged response: only relayed codes, their arguments
 * checked (numbers, sets, atoms) and written anew; the text cleaned.  No tag, no CRLF. */
void emit_relayed(struct buf *out, const struct response *r);
/* Such a text for a client whose command is named @name, where the upstream was sent another in its place and
 * names that, as Dovecot does: the first "UID SEARCH" in it, or "UID " and the last word of @name, is
 * replaced by @name. */
void emit_renamed(struct buf *out, struct slice text, struct slice name);

/* May the data of an untagged response be passed on as it stands?  Quoted strings and lists have
 * ends, literals are as long as they say, no line break is outside of one.  Nothing else is asked:
 * weak servers' atoms hold what they like. */
bool emit_may_relay(struct slice text);

#endif
