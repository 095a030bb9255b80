/* How fast a mailbox answers what it knows itself, as sets of UIDs: flags at random, UIDs with
 * gaps. Prints one line for each size: microseconds, the best of some rounds. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "model/view.h"

enum { ROUNDS = 30, KEYWORDS = 12, SETS = 200 };

static uint32_t draw(unsigned *seed, uint32_t below)
{
    return (uint32_t)rand_r(seed) % below;
}

static void must(enum status st)
{
    if (st != OK) {
        (void)fprintf(stderr, "%s\n", status_name(st));
        exit(1);
    }
}

static void make_sets(struct mailbox *mailbox, unsigned *seed, uint32_t ids[SETS])
{
    for (int i = 0; i < SETS; i++) {
        struct flag_list list = {.bits = (uint8_t)draw(seed, 32)};
        for (uint32_t k = draw(seed, 3); k > 0; k--) {
            char name[16];
            (void)snprintf(name, sizeof(name), "$k%u", draw(seed, KEYWORDS));
            must(flag_list_add(&list, mailbox_flags(mailbox), slice_str(name)));
        }
        must(flags_intern(mailbox_flags(mailbox), &list, &ids[i]));
    }
}

static struct mailbox *make_mailbox(uint32_t messages, uint32_t gap)
{
    unsigned seed = 1;
    uint32_t ids[SETS];
    uint32_t uid = 1;
    struct mailbox *mailbox = mailbox_create(0);
    make_sets(mailbox, &seed, ids);
    for (uint32_t i = 0; i < messages; i++, uid += 1 + draw(&seed, gap)) {
        const struct mailbox_entry entry = {uid, ids[draw(&seed, SETS)], 1 + draw(&seed, 1000)};
        must(mailbox_load(mailbox, &entry));
    }
    return mailbox;
}

static bool has_bits(const struct flags *flags, uint32_t id, const void *arg)
{
    return (flags_bits(flags, id) & *(const uint8_t *)arg) != 0;
}

enum step { SCAN_FLAGS, SCAN_RANGES, SCAN_MODSEQ, UNIVERSE, AND, TO_RANGES, WRITE, READ, STEPS };

struct bench {
    struct mailbox *mailbox;
    struct view *view;
    struct bitmap *seen;
    struct bitmap *universe;
    struct bitmap *other;
    struct ranges ranges;
    struct buf octets;
};

static void run_step(struct bench *bench, enum step step)
{
    const uint8_t seen = FLAG_SEEN;
    switch (step) {
    case SCAN_FLAGS:
        mailbox_bitmap_flags(bench->mailbox, has_bits, &seen, bench->seen);
        break;
    case SCAN_RANGES:
        mailbox_scan_flags(bench->mailbox, NULL, has_bits, &seen, &bench->ranges);
        break;
    case SCAN_MODSEQ:
        mailbox_bitmap_modseq(bench->mailbox, 900, bench->other);
        break;
    case UNIVERSE:
        view_bitmap(bench->view, bench->universe);
        break;
    case AND:
        bitmap_and(bench->other, bench->seen);
        break;
    case TO_RANGES:
        ranges_reset(&bench->ranges);
        bitmap_to_ranges(bench->seen, &bench->ranges);
        break;
    case WRITE:
        buf_reset(&bench->octets);
        bitmap_write(bench->seen, &bench->octets);
        break;
    case READ:
        bitmap_destroy(&bench->other);
        bench->other = bitmap_read(buf_slice(&bench->octets));
        break;
    case STEPS:
        break;
    }
}

static void run(uint32_t messages, uint32_t gap)
{
    uint64_t best[STEPS];
    struct bench bench = {.mailbox = make_mailbox(messages, gap)};
    bench.view = view_open(bench.mailbox, 0);
    bench.seen = bitmap_create();
    bench.universe = bitmap_create();
    bench.other = bitmap_create();
    ranges_init(&bench.ranges, 0);
    buf_init(&bench.octets, 0);
    for (int round = 0; round < ROUNDS; round++) {
        for (int step = 0; step < STEPS; step++) {
            uint64_t start = clock_mono_us();
            run_step(&bench, (enum step)step);
            uint64_t took = clock_mono_us() - start;
            best[step] = round == 0 || took < best[step] ? took : best[step];
        }
    }
    printf("%u messages, UIDs up to %u, %llu seen, kept in %zu octets\n"
           "  us: flag %llu (into ranges %llu), modseq %llu, universe %llu, and %llu, "
           "to ranges %llu, write %llu, read %llu\n",
           messages, mailbox_last_uid(bench.mailbox), (unsigned long long)bitmap_count(bench.seen),
           bench.octets.len, (unsigned long long)best[SCAN_FLAGS],
           (unsigned long long)best[SCAN_RANGES], (unsigned long long)best[SCAN_MODSEQ],
           (unsigned long long)best[UNIVERSE], (unsigned long long)best[AND],
           (unsigned long long)best[TO_RANGES], (unsigned long long)best[WRITE],
           (unsigned long long)best[READ]);
    bitmap_destroy(&bench.seen);
    bitmap_destroy(&bench.universe);
    bitmap_destroy(&bench.other);
    ranges_fini(&bench.ranges);
    buf_fini(&bench.octets);
    view_close(&bench.view);
    mailbox_destroy(&bench.mailbox);
}

int main(void)
{
    run(100000, 1);
    run(100000, 3);
    run(100000, 1000);
    run(1000000, 1);
    run(1000000, 3);
    return 0;
}
