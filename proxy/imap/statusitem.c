#include "imap/statusitem.h"

static const struct {
    const char *name;
    enum status_item item;
} items_table[] = {
    {"MESSAGES", STATUS_ITEM_MESSAGES},
    {"RECENT", STATUS_ITEM_RECENT},
    {"UIDNEXT", STATUS_ITEM_UIDNEXT},
    {"UIDVALIDITY", STATUS_ITEM_UIDVALIDITY},
    {"UNSEEN", STATUS_ITEM_UNSEEN},
    {"HIGHESTMODSEQ", STATUS_ITEM_HIGHESTMODSEQ},
    {"SIZE", STATUS_ITEM_SIZE},
    {"MAILBOXID", STATUS_ITEM_MAILBOXID},
    {"APPENDLIMIT", STATUS_ITEM_APPENDLIMIT},
    {"DELETED", STATUS_ITEM_DELETED},
};

enum { ITEMS_N = sizeof(items_table) / sizeof(items_table[0]) };

static unsigned find_item(struct slice name)
{
    for (size_t i = 0; i < ITEMS_N; i++) {
        if (slice_eq_nocase(name, slice_str(items_table[i].name))) {
            return items_table[i].item;
        }
    }
    return 0;
}

enum status status_items_parse(struct lexer *lx, unsigned *items_out)
{
    *items_out = 0;
    lexer_expect(lx, '(');
    do {
        unsigned item = find_item(lexer_atom(lx));
        if (item == 0) {
            lexer_fail(lx, SYNTAX);
        }
        *items_out |= item;
    } while (lexer_list_more(lx));
    lexer_expect(lx, ')');
    return lexer_status(lx);
}

void status_items_write(unsigned items, struct buf *out)
{
    const char *separator = "";
    for (size_t i = 0; i < ITEMS_N; i++) {
        if ((items & items_table[i].item) != 0) {
            buf_add_str(out, separator);
            buf_add_str(out, items_table[i].name);
            separator = " ";
        }
    }
}

/* Where the number of an item is kept; exactly one of the two is set. */
struct place {
    uint32_t *small;
    uint64_t *large;
};

static struct place place_of(unsigned item, struct status_values *v)
{
    switch (item) {
    case STATUS_ITEM_MESSAGES:
        return (struct place){&v->messages, NULL};
    case STATUS_ITEM_RECENT:
        return (struct place){&v->recent, NULL};
    case STATUS_ITEM_UIDNEXT:
        return (struct place){&v->uidnext, NULL};
    case STATUS_ITEM_UIDVALIDITY:
        return (struct place){&v->uidvalidity, NULL};
    case STATUS_ITEM_UNSEEN:
        return (struct place){&v->unseen, NULL};
    case STATUS_ITEM_DELETED:
        return (struct place){&v->deleted, NULL};
    case STATUS_ITEM_HIGHESTMODSEQ:
        return (struct place){NULL, &v->highestmodseq};
    case STATUS_ITEM_SIZE:
        return (struct place){NULL, &v->size};
    case STATUS_ITEM_APPENDLIMIT:
        return (struct place){NULL, &v->appendlimit};
    default:
        return (struct place){NULL, NULL};
    }
}

/* "(F2212ea87-6097)" -> the text between; an object id never needs quoting. */
static bool read_mailboxid(const struct lexer_value *value, struct slice *out)
{
    if (value->kind != VALUE_LIST || value->raw.len < 3) {
        return false;
    }
    *out = slice_sub(value->raw, 1, value->raw.len - 2);
    return lexer_is_atom(*out);
}

static bool read_value(unsigned item, const struct lexer_value *value, struct status_values *out)
{
    if (item == STATUS_ITEM_MAILBOXID) {
        return read_mailboxid(value, &out->mailboxid);
    }
    struct place place = place_of(item, out);
    if (item == STATUS_ITEM_APPENDLIMIT && value->kind == VALUE_NIL) {
        *place.large = UINT64_MAX;
        return true;
    }
    if (value->kind != VALUE_ATOM) {
        return false;
    }
    return place.small != NULL ? slice_u32(value->content, place.small)
                               : slice_u64(value->content, place.large);
}

enum status status_values_parse(struct lexer *lx, struct status_values *out)
{
    *out = (struct status_values){0};
    lexer_expect(lx, '(');
    bool more = lexer_peek(lx) != ')';
    while (more && lexer_ok(lx)) {
        unsigned item = find_item(lexer_atom(lx));
        lexer_sp(lx);
        struct lexer_value value = lexer_value(lx);
        if (lexer_ok(lx) && item != 0) {
            if (read_value(item, &value, out)) {
                out->has |= item;
            } else {
                lexer_fail(lx, SYNTAX);
            }
        }
        more = lexer_list_more(lx);
    }
    lexer_expect(lx, ')');
    return lexer_status(lx);
}

static void write_value(unsigned item, struct status_values *values, struct buf *out)
{
    struct place place = place_of(item, values);
    if (item == STATUS_ITEM_MAILBOXID) {
        buf_add_char(out, '(');
        buf_add(out, values->mailboxid);
        buf_add_char(out, ')');
    } else if (item == STATUS_ITEM_APPENDLIMIT && values->appendlimit == UINT64_MAX) {
        buf_add_str(out, "NIL");
    } else {
        buf_add_u64(out, place.small != NULL ? *place.small : *place.large);
    }
}

void status_values_write(const struct status_values *values, unsigned items, struct buf *out)
{
    struct status_values copy = *values;
    const char *separator = "";
    for (size_t i = 0; i < ITEMS_N; i++) {
        unsigned item = items_table[i].item;
        if ((items & values->has & item) != 0) {
            buf_add_str(out, separator);
            buf_add_str(out, items_table[i].name);
            buf_add_char(out, ' ');
            write_value(item, &copy, out);
            separator = " ";
        }
    }
}
