/* Does what a checker must find, so that the runner can see that the checker is there:
 * `canary overflow`, `canary undefined`, `canary leak`. */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    volatile int one = 1;
    char *volatile memory = malloc(8);

    if (memory == NULL)
        return 2;
    memory[0] = 0;
    if (strcmp(what, "overflow") == 0)
        memory[7 + one] = 1;
    if (strcmp(what, "undefined") == 0)
        printf("%d\n", INT_MAX + one);
    if (strcmp(what, "leak") != 0)
        free(memory);
    memory = NULL;
    return 0;
}
