/* One line after the other:
 *
 *   header --empty line--> content of a leaf
 *                      \-> preamble of a multipart --delimiter--> header of its first part ...
 *                      \-> header of the message within
 *   content, epilogue --delimiter of the innermost open multipart--> header of its next part
 *                     --its closing delimiter--> epilogue */
#include "imap/mimetree.h"

#include <string.h>

#include "mimehead_p.h"
#include "base/alloc.h"
#include "base/arena.h"

enum mode { IN_HEADER, IN_CONTENT, IN_PREAMBLE, IN_EPILOGUE };

enum { BOUNDARIES_MAX = 32, NO_PART = MIMEPARTS_MAX, TYPES_BYTES = 16 * 1024 };

struct boundary {
    char text[MIMETREE_BOUNDARY_MAX];
    size_t len;
};

struct open_multipart {
    size_t part;
    size_t boundary;
};

struct mimetree {
    struct mimeparts parts;
    size_t parents[MIMEPARTS_MAX];
    struct mimehead head;
    struct arena types;
    struct buf line; /* what is here of one that has not ended */
    struct boundary boundaries[BOUNDARIES_MAX]; /* all there were */
    size_t boundaries_n;
    struct open_multipart open[MIMETREE_DEPTH_MAX];
    size_t open_n;
    enum mode mode;
    size_t part;    /* the innermost that goes on */
    uint64_t at;    /* first octet of the present line */
    uint64_t lines; /* of the present content or epilogue */
    bool is_bad;
};

struct mimetree *mimetree_create(void)
{
    struct mimetree *tree = alloc_zero(sizeof(*tree));
    mimehead__init(&tree->head);
    arena_init(&tree->types, TYPES_BYTES);
    buf_init(&tree->line, MIMETREE_LINE_MAX);
    mimehead__begin(&tree->head);
    tree->parts.n = 1;
    tree->parts.at[0].is_root = true;
    tree->parents[0] = NO_PART;
    return tree;
}

void mimetree_destroy(struct mimetree **tree)
{
    struct mimetree *gone = *tree;
    if (gone == NULL) {
        return;
    }
    mimehead__fini(&gone->head);
    arena_reset(&gone->types);
    buf_fini(&gone->line);
    alloc_free(gone);
    *tree = NULL;
}

/* --- parts ---------------------------------------------------------------------------------------
 */

/* Its header begins at @head. */
static bool begin_part(struct mimetree *tree, size_t parent, uint64_t head, bool is_root)
{
    if (tree->parts.n == MIMEPARTS_MAX) {
        return false;
    }
    size_t part = tree->parts.n++;
    tree->parts.at[part] = (struct mimepart){.is_root = is_root, .head = head};
    tree->parents[part] = parent;
    tree->parts.at[parent].children_n++;
    tree->part = part;
    tree->mode = IN_HEADER;
    mimehead__begin(&tree->head);
    return true;
}

/* Everything below @until (not it) ends at @end. */
static void end_parts(struct mimetree *tree, size_t until, uint64_t end)
{
    while (tree->part != until) {
        tree->parts.at[tree->part].end = end;
        tree->part = tree->parents[tree->part];
    }
}

static bool starts_with(struct slice text, struct slice prefix)
{
    return text.len >= prefix.len && slice_eq(slice_sub(text, 0, prefix.len), prefix);
}

static struct slice boundary_text(const struct mimetree *tree, size_t i)
{
    return slice_of(tree->boundaries[i].text, tree->boundaries[i].len);
}

static bool open_multipart(struct mimetree *tree, const struct mimehead_sense *sense)
{
    struct slice text = slice_of(sense->boundary, sense->boundary_len);
    if (tree->open_n == MIMETREE_DEPTH_MAX || tree->boundaries_n == BOUNDARIES_MAX) {
        return false;
    }
    for (size_t i = 0; i < tree->boundaries_n; i++) {
        if (starts_with(text, boundary_text(tree, i)) ||
            starts_with(boundary_text(tree, i), text)) {
            return false;
        }
    }
    struct boundary *boundary = &tree->boundaries[tree->boundaries_n];
    memcpy(boundary->text, text.data, text.len);
    boundary->len = text.len;
    tree->open[tree->open_n++] =
        (struct open_multipart){.part = tree->part, .boundary = tree->boundaries_n++};
    tree->mode = IN_PREAMBLE;
    return true;
}

static bool is_in_digest(const struct mimetree *tree)
{
    size_t parent = tree->parents[tree->part];
    return parent != NO_PART &&
           slice_eq(tree->parts.at[parent].type, SLICE("multipart/digest"));
}

/* The empty line has been read; the content begins at @body. */
static bool end_header(struct mimetree *tree, uint64_t body)
{
    struct mimepart *part = &tree->parts.at[tree->part];
    struct mimehead_sense sense;
    if (!mimehead__read(&tree->head, part->is_root, is_in_digest(tree), &sense)) {
        return false;
    }
    part->kind = sense.kind;
    part->is_mime_only = tree->head.is_mime_only;
    part->body = body;
    part->type = arena_copy(&tree->types, slice_of(sense.type, sense.type_len));
    if (tree->types.failed) {
        return false;
    }
    tree->lines = 0;
    switch (sense.kind) {
    case MIMEPART_LEAF:
        tree->mode = IN_CONTENT;
        return true;
    case MIMEPART_MULTIPART:
        return open_multipart(tree, &sense);
    case MIMEPART_MESSAGE:
        return begin_part(tree, tree->part, body, true);
    }
    return false;
}

/* --- lines ---------------------------------------------------------------------------------------
 */

enum line_kind { LINE_PLAIN, LINE_DELIMITER, LINE_CLOSE, LINE_WRONG };

static enum line_kind kind_of(const struct mimetree *tree, struct slice line)
{
    if (line.len < 2 || line.data[0] != '-' || line.data[1] != '-') {
        return LINE_PLAIN;
    }
    struct slice text = slice_sub(line, 2, line.len);
    for (size_t i = 0; i < tree->boundaries_n; i++) {
        struct slice boundary = boundary_text(tree, i);
        if (!starts_with(text, boundary)) {
            continue;
        }
        struct slice rest = slice_sub(text, boundary.len, text.len);
        if (tree->open_n == 0 || tree->open[tree->open_n - 1].boundary != i) {
            return LINE_WRONG;
        }
        if (rest.len == 0) {
            return LINE_DELIMITER;
        }
        return slice_eq(rest, SLICE("--")) ? LINE_CLOSE : LINE_WRONG;
    }
    return LINE_PLAIN;
}

/* A delimiter: the CRLF before it belongs to it, and must not be the one that ends a header. */
static bool take_delimiter(struct mimetree *tree, enum line_kind kind, uint64_t next)
{
    struct open_multipart *open = &tree->open[tree->open_n - 1];
    struct mimepart *last = &tree->parts.at[tree->part];
    if (tree->mode == IN_CONTENT) {
        if (tree->lines == 0) {
            return false;
        }
        last->lines = tree->lines - 1;
    }
    if (kind == LINE_CLOSE && tree->parts.at[open->part].children_n == 0) {
        return false;
    }
    end_parts(tree, open->part, tree->at - 2);
    if (kind == LINE_DELIMITER) {
        return begin_part(tree, open->part, next, false);
    }
    tree->open_n--;
    tree->mode = IN_EPILOGUE;
    tree->lines = 0;
    return true;
}

/* @next: where the next line begins. */
static bool take_line(struct mimetree *tree, struct slice line, uint64_t next)
{
    if (tree->mode == IN_HEADER) {
        if (line.len == 0) {
            return end_header(tree, next);
        }
        mimehead__line(&tree->head, line);
        return !tree->head.is_bad;
    }
    enum line_kind kind = kind_of(tree, line);
    if (kind == LINE_DELIMITER || kind == LINE_CLOSE) {
        return take_delimiter(tree, kind, next);
    }
    tree->lines++;
    /* What servers count to a multipart within another is the same as long as nothing follows it. */
    bool is_trailing = tree->mode == IN_EPILOGUE && tree->open_n > 0;
    return kind == LINE_PLAIN && (!is_trailing || (line.len == 0 && tree->lines == 1));
}

/* A whole line with its CRLF. */
static void feed_line(struct mimetree *tree, struct slice line)
{
    uint64_t next = tree->at + line.len;
    if (line.len > MIMETREE_LINE_MAX || line.len < 2 || line.data[line.len - 2] != '\r' ||
        !take_line(tree, slice_sub(line, 0, line.len - 2), next)) {
        tree->is_bad = true;
    }
    tree->at = next;
}

void mimetree_feed(struct mimetree *tree, struct slice piece)
{
    while (piece.len > 0 && !tree->is_bad) {
        const char *lf = memchr(piece.data, '\n', piece.len);
        size_t n = lf != NULL ? (size_t)(lf - piece.data) + 1 : piece.len;
        if (lf != NULL && tree->line.len == 0) {
            feed_line(tree, slice_sub(piece, 0, n));
        } else {
            buf_add(&tree->line, slice_sub(piece, 0, n));
            tree->is_bad = !buf_ok(&tree->line);
            if (lf != NULL && !tree->is_bad) {
                feed_line(tree, buf_slice(&tree->line));
                buf_reset(&tree->line);
            }
        }
        piece = slice_sub(piece, n, piece.len);
    }
}

const struct mimeparts *mimetree_finish(struct mimetree *tree)
{
    struct slice rest = buf_slice(&tree->line);
    if (tree->is_bad) {
        return NULL;
    }
    if (rest.len > 0) {
        uint64_t end = tree->at + rest.len;
        tree->is_bad = tree->mode == IN_HEADER || !take_line(tree, rest, end);
        tree->lines -= tree->mode == IN_CONTENT ? 1 : 0; /* it has no LF */
        tree->at = end;
        buf_reset(&tree->line);
    }
    bool is_whole = tree->open_n == 0 && (tree->mode == IN_CONTENT || tree->mode == IN_EPILOGUE);
    if (tree->is_bad || !is_whole) {
        tree->is_bad = true;
        return NULL;
    }
    if (tree->mode == IN_CONTENT) {
        tree->parts.at[tree->part].lines = tree->lines;
    }
    end_parts(tree, NO_PART, tree->at);
    return &tree->parts;
}
