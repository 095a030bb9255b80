#ifndef SEARCHES_FIXTURE_H
#define SEARCHES_FIXTURE_H
/* A guest in a mailbox of a few messages, and askers of its searches. */
#include "account/searches.h"
#include "base/bitmap.h"
#include "guest_fixture.h"
#include "imap/searchcanon.h"

#define SELECTED(exists, uidvalidity, uidnext)                                                     \
    "* FLAGS (\\Seen)\r\n* " exists " EXISTS\r\n* OK [UIDVALIDITY " uidvalidity "] x\r\n"          \
    "* OK [UIDNEXT " uidnext "] x\r\n* OK [HIGHESTMODSEQ 10] x\r\n$ OK [READ-WRITE] done\r\n"
#define FILL "UID FETCH 1:* (UID FLAGS MODSEQ)"
/* With 2, 4 and 6 missing. */
#define FOUR                                                                                       \
    "* 1 FETCH (UID 1 FLAGS () MODSEQ (3))\r\n* 2 FETCH (UID 3 FLAGS () MODSEQ (4))\r\n"           \
    "* 3 FETCH (UID 5 FLAGS () MODSEQ (5))\r\n* 4 FETCH (UID 7 FLAGS () MODSEQ (6))\r\n"           \
    "$ OK done\r\n"
#define CAPS "IMAP4rev1 SASL-IR LITERAL+ ENABLE IDLE UIDPLUS MOVE CONDSTORE QRESYNC"

struct asker {
    struct search_ask *ask;
    int answers_n;
    enum status status;
    bool is_lost;
    char asked[256], hit[256], refusal[256];
    struct asker *ends; /* canceled when this one is answered */
};

static struct asker asker[4];
static struct arena parts_arena;

static inline void text_of(const struct bitmap *uids, char out[256])
{
    struct ranges runs;
    struct buf text;
    ranges_init(&runs, 0);
    buf_init(&text, 0);
    if (uids != NULL) {
        bitmap_to_ranges(uids, &runs);
        ranges_format(&runs, &text);
    }
    snprintf(out, 256, SLICE_FMT, SLICE_ARG(buf_slice(&text)));
    buf_fini(&text);
    ranges_fini(&runs);
}

static inline void on_answer(void *arg, const struct search_answer *answer)
{
    struct asker *a = arg;
    a->ask = NULL;
    a->answers_n++;
    a->status = answer->status;
    a->is_lost = answer->is_lost;
    text_of(answer->asked, a->asked);
    text_of(answer->hit, a->hit);
    snprintf(a->refusal, sizeof(a->refusal), SLICE_FMT, SLICE_ARG(answer->refusal));
    if (a->ends != NULL && a->ends->ask != NULL) {
        searches_cancel(&a->ends->ask);
    }
}

static inline struct search_part part_of(const char *text)
{
    struct lexer lx;
    struct search_node *root;
    struct search_part parts[SEARCH_PARTS_MAX];
    size_t n;
    const struct unit unit = {.text = slice_str(text)};
    lexer_init(&lx, unit, LEXER_LENIENT);
    assert_int_equal(search_parse(&lx, &parts_arena, &root), OK);
    assert_int_equal(search_normalize(root, &parts_arena, &root), OK);
    assert_int_equal(search_parts(root, SLICE(""), parts, &n), OK);
    assert_int_equal(n, 1);
    return parts[0];
}

static inline struct bitmap *uids_of(const char *text)
{
    struct bitmap *uids = bitmap_create();
    struct ranges runs;
    ranges_init(&runs, 0);
    assert_int_equal(text[0] == '\0' ? OK : ranges_parse(&runs, slice_str(text)), OK);
    bitmap_add_ranges(uids, &runs);
    ranges_fini(&runs);
    return uids;
}

static inline struct searches *searches(void)
{
    return feed_searches(guest[0].feed_user.feed);
}

static inline void ask_about(int n, const char *criteria, const char *uids)
{
    struct bitmap *set = uids_of(uids);
    const struct search_part part = part_of(criteria);
    int before = asker[n].answers_n;
    asker[n].ask = searches_ask(searches(), &part, SLICE(""), set, on_answer, &asker[n]);
    assert_int_equal(asker[n].answers_n, before); /* never inside the call */
    bitmap_destroy(&set);
}

static inline bool answered(struct office *office)
{
    (void)office;
    for (size_t i = 0; i < 4; i++) {
        if (asker[i].ask != NULL) {
            return false;
        }
    }
    return true;
}

/* The first asker asks and is answered. */
static inline void find_out(struct office *office, const char *criteria, const char *uids)
{
    ask_about(0, criteria, uids);
    office_run(office, answered);
}

/* "known / hit", or "never". */
static inline const char *known_of(const char *criteria)
{
    static char text[520];
    char known[256], hit[256];
    struct search_known found;
    const struct search_part part = part_of(criteria);
    if (!searches_find(searches(), &part, SLICE(""), &found)) {
        return "never";
    }
    text_of(found.known, known);
    text_of(found.hit, hit);
    snprintf(text, sizeof(text), "%s / %s", known, hit);
    return text;
}

static inline void begin_closed(struct office *office, const char *caps, uint32_t settle_ms)
{
    begin(office);
    memset(asker, 0, sizeof(asker));
    arena_init(&parts_arena, 1 << 20);
    office->caps = caps;
    office->settings.search_remember = 256;
    office->settings.search_settle_ms = settle_ms;
    login(office);
    office_rule_add(office, "SELECT", SELECTED("4", "7", "8"), 1);
}

static inline void begin_with(struct office *office, const char *caps, uint32_t settle_ms)
{
    begin_closed(office, caps, settle_ms);
    office_rule_add(office, FILL, FOUR, 1);
    open_box(office);
    assert_int_equal(guest[0].open_st, OK);
    buf_reset(&office->log);
}

/* SELECT is answered, and the messages are asked for: there is no view yet. */
static inline void open_before_the_fill(struct office *office)
{
    office_rule_add(office, FILL, "", 1);
    guest[0].open = feed_open(guest[0].account, SLICE("INBOX"), on_open, &guest[0]);
    office_run(office, opened);
    assert_int_equal(guest[0].open_st, OK);
    assert_true(guest[0].opened_early);
    office_run_ms(office, 50);
    buf_reset(&office->log);
}

static inline void fill_now(struct office *office, const char *answer)
{
    struct peer *peer = office_selected(office);
    office_answer(peer, peer->tag, answer);
    office_run(office, complete);
}

static inline void finish(struct office *office)
{
    for (size_t i = 0; i < 4; i++) {
        if (asker[i].ask != NULL) {
            searches_cancel(&asker[i].ask);
        }
    }
    arena_reset(&parts_arena);
    end(office);
}

#endif
