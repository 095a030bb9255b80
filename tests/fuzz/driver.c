/* Runs every file of the folders (or files) named on the command line through a fuzz target, so
 * that the corpus is a plain test without libFuzzer.  Fails when there is nothing to run: a lost
 * corpus is no pass. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return -1;
    }
    size_t cap = 1 << 20;
    uint8_t *all = malloc(cap);
    size_t size = all != NULL ? fread(all, 1, cap, file) : 0;
    (void)fclose(file);
    /* memory of the very size, so that a sanitizer sees a step beyond it */
    uint8_t *exact = malloc(size > 0 ? size : 1);
    if (all == NULL || exact == NULL) {
        return -1;
    }
    memcpy(exact, all, size);
    free(all);
    int st = LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return st;
}

/* Files run; -1 on an error. */
static int run_folder(const char *path)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        perror(path);
        return -1;
    }
    int n = 0;
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL && n >= 0) {
        char name[4096];
        if (entry->d_name[0] == '.') {
            continue;
        }
        (void)snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        n = run_file(name) == 0 ? n + 1 : -1;
    }
    (void)closedir(dir);
    return n;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        struct stat st;
        int n = 1;
        if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode)) {
            n = run_folder(argv[i]);
        } else if (run_file(argv[i]) != 0) {
            n = -1;
        }
        if (n < 0) {
            return 1;
        }
        total += n;
    }
    (void)printf("%d inputs\n", total);
    return total > 0 ? 0 : 1;
}
