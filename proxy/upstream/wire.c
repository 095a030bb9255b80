/* One command as octets.  RFC 3501 4.3, RFC 7888 (LITERAL+, LITERAL-). */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/check.h"
#include "link_p.h"
#include "pipeline_p.h"

char *wire__tag(uint32_t tag, char out[LINK__TAG_MAX])
{
    snprintf(out, LINK__TAG_MAX, "A%u", tag);
    return out;
}

bool upcmd_has_tag(const struct upcmd *cmd, struct slice tag)
{
    char own[LINK__TAG_MAX];
    return slice_eq(slice_str(wire__tag(cmd->tag, own)), tag);
}

bool wire__is_free(const struct capabilities *caps, uint64_t size)
{
    return capability_has(caps, CAP_LITERAL_PLUS) ||
           (capability_has(caps, CAP_LITERAL_MINUS) && size <= 4096);
}

void upcmd__stop(struct upcmd *cmd)
{
    cmd->stops = alloc_resize(cmd->stops, cmd->stops_n + 1, sizeof(cmd->stops[0]));
    cmd->stops[cmd->stops_n++] = cmd->wire.len;
}

static void wire_literal_header(struct upcmd *cmd, const struct outcmd_part *part, bool is_free)
{
    buf_printf(&cmd->wire, "%s{%llu%s}\r\n", part->is_literal8 ? "~" : "",
               (unsigned long long)part->size, is_free ? "+" : "");
    if (!is_free) {
        upcmd__stop(cmd);
    }
}

static void wire_stream(struct upcmd *cmd, const struct outcmd_part *part)
{
    bool is_filled = cmd->filled.len > 0;
    wire_literal_header(cmd, part, is_filled);
    if (is_filled) {
        buf_add(&cmd->wire, buf_slice(&cmd->filled));
    } else {
        cmd->stream_stop = cmd->stops_n - 1;
    }
}

static void wire_parts(struct upcmd *cmd)
{
    const struct capabilities *caps = &cmd->link->caps;
    for (size_t i = 0; i < cmd->parts.parts_n; i++) {
        const struct outcmd_part *part = &cmd->parts.parts[i];
        switch (part->kind) {
        case OUTCMD_TEXT:
            buf_add(&cmd->wire, outcmd_part_bytes(&cmd->parts, i));
            break;
        case OUTCMD_LITERAL:
            wire_literal_header(cmd, part, wire__is_free(caps, part->size));
            buf_add(&cmd->wire, outcmd_part_bytes(&cmd->parts, i));
            break;
        case OUTCMD_STREAM:
            wire_stream(cmd, part);
            break;
        }
    }
    CHECK(buf_ok(&cmd->wire));
    outcmd_reset(&cmd->parts);
    buf_fini(&cmd->filled);
}

void upcmd__build(struct upcmd *cmd)
{
    char tag[LINK__TAG_MAX];
    buf_printf(&cmd->wire, "%s ", wire__tag(cmd->tag, tag));
    wire_parts(cmd);
    if ((cmd->flags & UPCMD_OPEN) == 0) {
        buf_add_str(&cmd->wire, "\r\n");
    }
}

void upcmd__build_more(struct upcmd *cmd)
{
    buf_reset(&cmd->wire);
    cmd->wire_pos = cmd->stops_n = cmd->stop_at = 0;
    wire_parts(cmd);
}

void upcmd__destroy(struct upcmd *cmd)
{
    buf_fini(&cmd->wire);
    buf_fini(&cmd->filled);
    outcmd_fini(&cmd->parts);
    alloc_free(cmd->stops);
    alloc_free(cmd);
}
