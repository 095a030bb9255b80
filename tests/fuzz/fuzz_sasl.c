/* A client's answer to AUTHENTICATE: base64, then a message of the mechanism that the first octet
 * picks.  What is taken holds nothing that could end a line or a field, and written for an upstream
 * it reads the same. */
#include <string.h>

#include "base/alloc.h"
#include "fuzz.h"
#include "imap/sasl.h"

static void check_clean(struct slice text)
{
    MUST(slice_find(text, '\r') == text.len && slice_find(text, '\n') == text.len &&
         slice_find(text, '\0') == text.len);
}

static void check_message(enum sasl_mech mech, char *data, size_t len)
{
    struct sasl_login login, again;
    struct buf out, coded, decoded;
    if (sasl_parse(mech, data, len, &login) != OK) {
        return;
    }
    check_clean(login.authzid);
    check_clean(login.authcid);
    check_clean(login.secret);
    MUST(login.authcid.len > 0);
    MUST(!sasl_is_token(mech) || slice_find(login.secret, '\1') == login.secret.len);
    buf_init(&out, 0);
    buf_init(&coded, 0);
    buf_init(&decoded, 0);
    sasl_write(mech, &login, SLICE("imap.example.org"), 993, &out);
    sasl_base64_encode(buf_slice(&out), &coded);
    MUST(sasl_base64_decode(buf_slice(&coded), &decoded));
    MUST(slice_eq(buf_slice(&out), buf_slice(&decoded)));
    enum status st = sasl_parse(mech, out.data, out.len, &again);
    MUST(st == OK || (st == LIMIT && out.len > SASL_MESSAGE_MAX));
    MUST(st != OK ||
         (slice_eq(again.authzid, login.authzid) && slice_eq(again.authcid, login.authcid) &&
          slice_eq(again.secret, login.secret)));
    buf_fini(&out);
    buf_fini(&coded);
    buf_fini(&decoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    enum sasl_mech mech = (enum sasl_mech)(data[0] % SASL_MECH_N);
    struct buf decoded;
    buf_init(&decoded, SASL_MESSAGE_MAX);
    if (sasl_base64_decode(slice_of(data + 1, size - 1), &decoded)) {
        check_message(mech, decoded.data, decoded.len);
    }
    buf_fini(&decoded);
    char *plain = alloc_zero(size);
    memcpy(plain, data + 1, size - 1);
    check_message(mech, plain, size - 1);
    alloc_free(plain);
    return 0;
}
