/* OpenSSL's asynchronous jobs, each of which runs on a context of its own: several hash the same data in
 * turns, pausing after every piece, and must come to the same digest as one that never paused.
 *
 *     native: yes
 *     linkings: shared
 *     options: -O2
 *     flags: -lcrypto
 */
#include <openssl/async.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JOBS = 4, PIECES = 1000, PIECE = 4096 };

static unsigned char data[PIECE];

static void require(int succeeded, const char *what)
{
    if (!succeeded) {
        fprintf(stderr, "openssl_async: %s failed\n", what);
        exit(EXIT_FAILURE);
    }
}

static void hash(unsigned char *digest, int pausing)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    require(context && EVP_DigestInit_ex(context, EVP_sha256(), NULL), "EVP_DigestInit_ex");
    for (int piece = 0; piece < PIECES; piece++) {
        require(EVP_DigestUpdate(context, data, sizeof data), "EVP_DigestUpdate");
        if (pausing)
            require(ASYNC_pause_job(), "ASYNC_pause_job");
    }
    require(EVP_DigestFinal_ex(context, digest, NULL), "EVP_DigestFinal_ex");
    EVP_MD_CTX_free(context);
}

static int hash_pausing(void *argument)
{
    hash(*(unsigned char **)argument, 1);
    return 1;
}

int main(void)
{
    unsigned char expected[EVP_MAX_MD_SIZE] = {0}, digests[JOBS][EVP_MAX_MD_SIZE] = {{0}};
    ASYNC_JOB *jobs[JOBS] = {NULL};
    ASYNC_WAIT_CTX *wait = ASYNC_WAIT_CTX_new();
    int finished[JOBS] = {0}, remaining = JOBS, pauses = 0;

    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i * 7);
    hash(expected, 0);

    require(wait != NULL && ASYNC_is_capable(), "ASYNC_WAIT_CTX_new");
    while (remaining > 0) {
        for (int job = 0; job < JOBS; job++) {
            unsigned char *digest = digests[job];
            int result;

            if (finished[job])
                continue;
            switch (ASYNC_start_job(&jobs[job], wait, &result, hash_pausing, &digest, sizeof digest)) {
            case ASYNC_PAUSE:
                pauses++;
                break;
            case ASYNC_FINISH:
                require(result == 1, "the job");
                finished[job] = 1;
                remaining--;
                break;
            default:
                require(0, "ASYNC_start_job");
            }
        }
    }
    for (int job = 0; job < JOBS; job++)
        require(memcmp(digests[job], expected, sizeof expected) == 0, "the comparison of digests");
    printf("%d jobs, %d pauses, one digest\n", JOBS, pauses);
    ASYNC_WAIT_CTX_free(wait);
    ASYNC_cleanup_thread();
    return EXIT_SUCCESS;
}
