/* SPDX-License-Identifier: MIT */
/*
 * wordcount.c - count the lines, words and bytes of all files below some directories.
 *
 *   wordcount [-j N] PATH...        like: find PATH... -type f -exec cat {} + | wc
 *
 * Each file has a greenlet of its own, and the hubs share them out; at most N (64) are on their
 * way, so a tree of a million files needs neither a million stacks nor a million descriptors. The
 * walk goes round a ring of N places: before it fills one again, it waits for the greenlet that
 * was there, which is the oldest. A word is what white space of the C locale surrounds.
 */
#define _DEFAULT_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <grove.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ_BYTES = 16384, MOST_PLACES = 4096 };

struct counts {
	uint64_t lines, words, bytes;
};

/* One file. Its greenlet owns all but the handle until it has ended. */
struct place {
	grove_greenlet *greenlet; /* NULL: free */
	char *path;
	struct counts counts;
	int rc;
};

struct walk {
	char *const *roots;
	struct place *ring;
	size_t places;
	struct counts total;
	bool trouble; /* some file could not be read */
};

/* --- a file ----------------------------------------------------------------------------------- */

static void count(struct counts *counts, bool *in_word, const char *text, size_t size)
{
	static const bool is_space[256] = {
		[' '] = true,  ['\t'] = true, ['\n'] = true,
		['\v'] = true, ['\f'] = true, ['\r'] = true,
	};

	for (size_t i = 0; i < size; i++) {
		bool space = is_space[(unsigned char)text[i]];
		counts->lines += text[i] == '\n';
		counts->words += !space && !*in_word;
		*in_word = !space;
	}
	counts->bytes += size;
}

static void *count_file(void *arg)
{
	struct place *place = arg;
	char text[READ_BYTES];
	bool in_word = false;
	ssize_t got;

	int fd = open(place->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		place->rc = -errno;
		return NULL;
	}
	while ((got = grove_read(fd, text, sizeof text, GROVE_NEVER)) > 0)
		count(&place->counts, &in_word, text, (size_t)got);
	place->rc = (int)got;
	grove_close(fd);
	return NULL;
}

/* --- the walk --------------------------------------------------------------------------------- */

static void complain(struct walk *walk, const char *path, int rc)
{
	fprintf(stderr, "wordcount: %s: %s\n", path, grove_strerror(rc));
	walk->trouble = true;
}

/* Waits for the file in a place, if there is one, and takes its counts. */
static int clear_place(struct walk *walk, struct place *place)
{
	if (place->greenlet == NULL)
		return 0;
	int rc = grove_get(place->greenlet, NULL, GROVE_NEVER);
	if (rc < 0 && rc != GROVE_FAILED)
		return rc; /* it is us who has to end: the greenlet still works here */

	if (rc == 0)
		rc = place->rc;
	if (rc < 0)
		complain(walk, place->path, rc);
	walk->total.lines += place->counts.lines;
	walk->total.words += place->counts.words;
	walk->total.bytes += place->counts.bytes;

	grove_greenlet_release(place->greenlet);
	free(place->path);
	*place = (struct place){ 0 };
	return 0;
}

static int start_file(struct walk *walk, struct place *place, const char *path)
{
	int rc = clear_place(walk, place);
	if (rc < 0)
		return rc;

	place->path = strdup(path); /* the walk writes over its own copy */
	if (place->path == NULL)
		return -ENOMEM;
	return grove_spawn(&place->greenlet, count_file, place);
}

/*
 * The next entry, or NULL with *rc 0 (the end) or a code.
 *
 * errno belongs to a thread, and a greenlet that waited may wake up on another one. Compilers
 * look its address up once in a function, so errno is read in functions that do not wait.
 */
__attribute__((noinline)) static FTSENT *next_entry(FTS *tree, int *rc)
{
	errno = 0;
	FTSENT *entry = fts_read(tree);
	*rc = entry == NULL ? -errno : 0;
	return entry;
}

__attribute__((noinline)) static FTS *open_tree(char *const *roots, int *rc)
{
	FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	*rc = tree == NULL ? -errno : 0;
	return tree;
}

static void *walk_trees(void *arg)
{
	struct walk *walk = arg;
	FTSENT *entry;
	size_t files = 0;
	int rc;

	FTS *tree = open_tree(walk->roots, &rc);
	if (tree == NULL)
		return grove_fail_code(rc);
	while (rc == 0 && (entry = next_entry(tree, &rc)) != NULL) {
		switch (entry->fts_info) {
		case FTS_F:
			rc = start_file(walk, &walk->ring[files++ % walk->places], entry->fts_path);
			break;
		case FTS_DNR:
		case FTS_ERR:
		case FTS_NS:
			complain(walk, entry->fts_path, -entry->fts_errno);
			break;
		}
	}
	fts_close(tree);

	for (size_t i = 0; rc == 0 && i < walk->places; i++)
		rc = clear_place(walk, &walk->ring[files++ % walk->places]);
	return rc < 0 ? grove_fail_code(rc) : NULL;
}

/* --- the program ------------------------------------------------------------------------------ */

static int usage(void)
{
	fprintf(stderr, "usage: wordcount [-j N] PATH...\n");
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	struct walk walk = { .places = 64 };
	int option;

	while ((option = getopt(argc, argv, "j:")) != -1) {
		walk.places = option == 'j' ? strtoul(optarg, NULL, 10) : 0;
		if (walk.places == 0 || walk.places > MOST_PLACES)
			return usage();
	}
	if (optind == argc)
		return usage();
	walk.roots = argv + optind;
	walk.ring = calloc(walk.places, sizeof *walk.ring);
	if (walk.ring == NULL) {
		perror("wordcount");
		return EXIT_FAILURE;
	}

	/* When it returns no greenlet is left that could use the ring. */
	int rc = grove_run(walk_trees, &walk, NULL, NULL);
	if (rc < 0)
		fprintf(stderr, "wordcount: %s\n", grove_strerror(rc));
	else
		printf("%7ju %7ju %7ju\n", (uintmax_t)walk.total.lines, (uintmax_t)walk.total.words,
		       (uintmax_t)walk.total.bytes);
	for (size_t i = 0; i < walk.places; i++) { /* after an error some are still taken */
		grove_greenlet_release(walk.ring[i].greenlet);
		free(walk.ring[i].path);
	}
	free(walk.ring);
	return rc < 0 || walk.trouble ? EXIT_FAILURE : EXIT_SUCCESS;
}
