#ifndef CERTS_FIXTURE_H
#define CERTS_FIXTURE_H
/* Throw-away certificates: two CAs, and servers of them, as PEM files in a directory of their own.
 */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "net_fixture.h"

struct certs {
    char dir[64];
    char ca[96];         /* what the client trusts */
    char good[96];       /* localhost, imap.test, 127.0.0.1; with its key */
    char other_name[96]; /* elsewhere.test */
    char expired[96];
    char stranger[96]; /* right name, CA unknown */
    char key_only[96];
};

static inline void cert_extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(ext);
    assert_int_equal(X509_add_ext(cert, ext, -1), 1);
    X509_EXTENSION_free(ext);
}

/* san NULL: a CA.  issuer NULL: self-signed. */
static inline X509 *cert_make(EVP_PKEY *key, const char *san, long days, X509 *issuer,
                              EVP_PKEY *issuer_key)
{
    static long serial = 1;
    X509 *cert = X509_new();
    assert_int_equal(X509_set_version(cert, 2), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(cert), -86400 * 10));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(cert), 86400 * days));
    X509_NAME *name = X509_get_subject_name(cert);
    char text[32];
    (void)snprintf(text, sizeof(text), "test %ld", serial);
    assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                                (const unsigned char *)text, -1, -1, 0),
                     1);
    assert_int_equal(
        X509_set_issuer_name(cert, issuer != NULL ? X509_get_subject_name(issuer) : name), 1);
    assert_int_equal(X509_set_pubkey(cert, key), 1);
    X509 *by = issuer != NULL ? issuer : cert;
    if (san != NULL) {
        cert_extend(cert, by, NID_subject_alt_name, san);
    } else {
        cert_extend(cert, by, NID_basic_constraints, "critical,CA:TRUE");
    }
    assert_true(X509_sign(cert, issuer != NULL ? issuer_key : key, EVP_sha256()) > 0);
    return cert;
}

static inline void cert_save(const struct certs *certs, char path[96], const char *name, X509 *cert,
                             EVP_PKEY *key)
{
    (void)snprintf(path, 96, "%s/%s.pem", certs->dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    if (cert != NULL) {
        assert_int_equal(PEM_write_X509(file, cert), 1);
    }
    if (key != NULL) {
        assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    }
    assert_int_equal(fclose(file), 0);
}

static inline void certs_create(struct certs *certs)
{
    (void)snprintf(certs->dir, sizeof(certs->dir), "%s/net-certs-XXXXXX", P_tmpdir);
    assert_non_null(mkdtemp(certs->dir));
    EVP_PKEY *ca_key = EVP_EC_gen("P-256");
    EVP_PKEY *key = EVP_EC_gen("P-256");
    assert_true(ca_key != NULL && key != NULL);
    X509 *ca = cert_make(ca_key, NULL, 30, NULL, NULL);
    X509 *unknown_ca = cert_make(ca_key, NULL, 30, NULL, NULL);
    static const char names[] = "DNS:localhost,DNS:imap.test,IP:127.0.0.1";
    X509 *good = cert_make(key, names, 30, ca, ca_key);
    X509 *other_name = cert_make(key, "DNS:elsewhere.test,IP:192.0.2.1", 30, ca, ca_key);
    X509 *expired = cert_make(key, names, -1, ca, ca_key);
    X509 *stranger = cert_make(key, names, 30, unknown_ca, ca_key);
    cert_save(certs, certs->ca, "ca", ca, NULL);
    cert_save(certs, certs->good, "good", good, key);
    cert_save(certs, certs->other_name, "other", other_name, key);
    cert_save(certs, certs->expired, "expired", expired, key);
    cert_save(certs, certs->stranger, "stranger", stranger, key);
    cert_save(certs, certs->key_only, "key", NULL, ca_key);
    X509 *all[] = {ca, unknown_ca, good, other_name, expired, stranger};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        X509_free(all[i]);
    }
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(key);
}

static inline void certs_destroy(struct certs *certs)
{
    const char *all[] = {certs->ca,      certs->good,     certs->other_name,
                         certs->expired, certs->stranger, certs->key_only};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        (void)unlink(all[i]);
    }
    (void)rmdir(certs->dir);
}

#endif
