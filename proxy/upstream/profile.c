/* Facts of providers.  Words in `marks` stand in greetings, capability lists or ID answers that
 * were seen in public; the first row that matches wins, so what names itself most exactly comes
 * first. */
#include "upstream/profile.h"

enum { FRESH_PUSHED_MS = 30000, FRESH_POLLED_MS = 5000 };

static const struct profile profiles[] = {
    /* 15 connections for all programs together; flag changes are not told in IDLE. */
    {.name = "gmail",
     .marks = {"X-GM-EXT-1", "Gimap ready"},
     .max_connections = 10,
     .fresh_ms = FRESH_POLLED_MS,
     .has_sound_qresync = true},
    {.name = "exchange",
     .marks = {"Microsoft Exchange", "CLIENTACCESSRULES", "BACKENDAUTHENTICATE"},
     .max_connections = 8,
     .fresh_ms = FRESH_POLLED_MS,
     .has_sound_qresync = true},
    /* About 5 connections. */
    {.name = "yahoo",
     .marks = {"XYMHIGHESTMODSEQ", "imapgate-"},
     .max_connections = 4,
     .fresh_ms = FRESH_POLLED_MS,
     .has_sound_qresync = true},
    /* ENABLE is answered without ENABLED, and QRESYNC loses messages. */
    {.name = "icloud",
     .marks = {"X-SUN-IMAP", "iSCREAM", "AUTH=ATOKEN"},
     .max_connections = 4,
     .fresh_ms = FRESH_POLLED_MS},
    /* Wants ID after login, which is sent wherever it is offered. */
    {.name = "163",
     .marks = {"Coremail", "X-CM-EXT-1"},
     .max_connections = 3,
     .fresh_ms = FRESH_POLLED_MS},
    /* mail_max_userip_connections is 10 by default, and other programs of the user may come from
     * the same address. */
    {.name = "dovecot",
     .marks = {"Dovecot"},
     .max_connections = 8,
     .set_bytes = 50000, /* imap_max_line_length is 64 KB by default */
     .fresh_ms = FRESH_PUSHED_MS,
     .pushes_flags_in_idle = true,
     .may_pipeline_after_done = true,
     .has_sound_qresync = true,
     .is_sure_to_enable = true,
     .order = ORDER_RIGHT_LATER},
    {.name = "cyrus",
     .marks = {"Cyrus"},
     .max_connections = 8,
     .fresh_ms = FRESH_PUSHED_MS,
     .pushes_flags_in_idle = true,
     .may_pipeline_after_done = true,
     .has_sound_qresync = true,
     .is_sure_to_enable = true,
     .order = ORDER_RIGHT},
    /* Looks into the mailbox once a minute in IDLE unless it was built with file monitoring.  Of a
     * message whose file has another name since (flags of a neighbour) it says at times that it is
     * no longer available: "From: System Administrator <root@localhost>" ... */
    {.name = "courier",
     .marks = {"Courier-IMAP"},
     .max_connections = 4,
     .standin_bytes = 129,
     .fresh_ms = FRESH_POLLED_MS,
     .order = ORDER_RIGHT},
};

static const struct profile generic = {.name = "generic",
                                       .max_connections = 4,
                                       .fresh_ms = FRESH_POLLED_MS,
                                       .has_sound_qresync = true};

static bool said_has(struct slice said, const char *mark)
{
    struct slice word = slice_str(mark);
    for (size_t i = 0; i + word.len <= said.len; i++) {
        if (slice_starts_nocase(slice_sub(said, i, word.len), word)) {
            return true;
        }
    }
    return false;
}

const struct profile *profile_generic(void)
{
    return &generic;
}

const struct profile *profile_detect(struct slice said)
{
    for (size_t row = 0; row < sizeof(profiles) / sizeof(profiles[0]); row++) {
        for (size_t i = 0; i < PROFILE_MARKS_MAX && profiles[row].marks[i] != NULL; i++) {
            if (said_has(said, profiles[row].marks[i])) {
                return &profiles[row];
            }
        }
    }
    return &generic;
}
