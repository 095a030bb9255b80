#include "imap/respfetch.h"

void respfetch_init(struct respfetch *it, const struct response *response)
{
    *it = (struct respfetch){.is_started = false};
    lexer_init(&it->lx, response->data, LEXER_LENIENT);
}

/* "(" or the space after the last value; false at the closing ")". */
static bool step(struct respfetch *it)
{
    struct lexer *lx = &it->lx;
    if (!it->is_started) {
        it->is_started = true;
        while (lexer_take(lx, ' ')) {
        }
        lexer_expect(lx, '(');
        while (lexer_take(lx, ' ')) {
        }
        return lexer_ok(lx) && lexer_peek(lx) != ')';
    }
    return lexer_list_more(lx);
}

enum status respfetch_next(struct respfetch *it, struct respfetch_item *item_out)
{
    struct lexer *lx = &it->lx;
    if (it->is_done) {
        return END;
    }
    if (!step(it)) {
        lexer_expect(lx, ')');
        lexer_end(lx);
        it->is_done = lexer_ok(lx);
        return it->is_done ? END : lexer_status(lx);
    }
    item_out->name = lexer_item_name(lx);
    lexer_sp(lx);
    item_out->value = lexer_value(lx);
    TRY(lexer_status(lx));
    item_out->kind = fetch_kind_find(item_out->name);
    return OK;
}

bool respfetch_number(const struct respfetch_item *item, uint64_t *value_out)
{
    const struct lexer_value *value = &item->value;
    if (value->kind == VALUE_ATOM) {
        return slice_u64(value->content, value_out);
    }
    if (value->kind == VALUE_LIST && value->raw.len > 2) {
        return slice_u64(slice_sub(value->raw, 1, value->raw.len - 2), value_out);
    }
    return false;
}

enum status respfetch_pending(struct unit unit, struct respfetch_pending *out)
{
    struct response response;
    struct respfetch it;
    *out = (struct respfetch_pending){0};
    TRY(response_parse(unit, &response));
    if (response.kind != RESPONSE_FETCH) {
        return NOT_FOUND;
    }
    out->number = response.number;
    respfetch_init(&it, &response);
    struct respfetch_item item;
    while (respfetch_next(&it, &item) == OK) {
        uint64_t number;
        if (item.kind == FETCH_UID && respfetch_number(&item, &number) && number <= UINT32_MAX) {
            out->uid = (uint32_t)number;
        }
        if (item.value.kind == VALUE_STREAMED && lexer_at_end(&it.lx)) {
            out->kind = item.kind;
            out->name = item.name;
            out->is_literal8 = item.value.is_literal8;
            out->size = item.value.size;
            return OK;
        }
    }
    /* The text ends inside a list or a name: one of their strings is what is coming. */
    return NOT_FOUND;
}

static bool is_raw(const struct respfetch_item *item, const char *text)
{
    return slice_eq_nocase(item->value.raw, slice_str(text));
}

#define FILLER_BODY "(\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0"

bool respfetch_is_filler(const struct respfetch_item *item)
{
    const struct lexer_value *value = &item->value;
    if (value->kind == VALUE_NIL) {
        return true;
    }
    if ((value->kind == VALUE_LITERAL || value->kind == VALUE_STREAMED) && value->size == 0) {
        return true;
    }
    return is_raw(item, "\"\"") || is_raw(item, "()") ||
           is_raw(item, "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)") ||
           is_raw(item, FILLER_BODY ")") || is_raw(item, FILLER_BODY " NIL NIL NIL NIL)") ||
           is_raw(item, "\"01-Jan-1970 00:00:00 +0000\"") ||
           is_raw(item, "\" 1-Jan-1970 00:00:00 +0000\"") ||
           (item->kind == FETCH_RFC822_SIZE && is_raw(item, "0"));
}

bool respfetch_is_standin(const struct respfetch_item *item, uint32_t standin_bytes)
{
    uint64_t size;
    return standin_bytes != 0 && item->kind == FETCH_RFC822_SIZE &&
           respfetch_number(item, &size) && size == standin_bytes;
}
