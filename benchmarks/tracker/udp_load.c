/* A load of UDP announces (BEP 15), for one core.
 *
 *     udp_load ADDRESS PORT HASHES PEERS NUMWANT WINDOW SECONDS
 *
 * HASHES is a file of info-hashes, 20 bytes each. Each of PEERS peers is a socket on a loopback
 * address of its own (127.1.0.1 and following) that announces every torrent, in an order of its own,
 * again and again; the first four of them are complete. First everybody announces everything once; then SECONDS are measured. At most
 * WINDOW announces are in flight; one that is not answered within 200 ms is lost.
 *
 * An answer counts if it is that to an announce in flight and has min(NUMWANT, PEERS - 1) peers.
 * Prints one line of JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 32, ANNOUNCE = 98, MOST = 2048, MOST_PEERS = 1024, SEEDERS = 4 };
static const double LOST_SECONDS = 0.2;

struct peer {
    int fd;
    uint8_t connection_id[8];
    uint8_t peer_id[20];
    uint32_t *order;      /* of the torrents */
    uint32_t sent;        /* announces so far: the transaction ids */
    uint32_t in_flight;
    uint32_t oldest;      /* transaction ids below are settled or lost */
    double moved_at;      /* when one was last answered */
};

static struct peer peers[MOST_PEERS];
static uint8_t *hashes;
static uint32_t peer_count, torrent_count, numwant, wanted;
static uint64_t answered, wrong, refused, lost, stray;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void put32(uint8_t *at, uint32_t value) {
    value = htonl(value);
    memcpy(at, &value, 4);
}

static uint32_t get32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, 4);
    return ntohl(value);
}

static void connect_peer(struct peer *p, uint32_t number, const struct sockaddr_in *tracker) {
    struct sockaddr_in own = {.sin_family = AF_INET};
    own.sin_addr.s_addr = htonl(0x7f010001u + number);
    p->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int size = 4 << 20;
    if (setsockopt(p->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
        setsockopt(p->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (bind(p->fd, (struct sockaddr *)&own, sizeof own) < 0) fail("bind");
    if (connect(p->fd, (const struct sockaddr *)tracker, sizeof *tracker) < 0) fail("connect");
    uint8_t request[16] = {0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80}, answer[16];
    put32(request + 12, number);
    for (int tries = 0; tries < 10; tries++) {
        struct pollfd wait = {.fd = p->fd, .events = POLLIN};
        if (send(p->fd, request, sizeof request, 0) < 0) fail("send");
        if (poll(&wait, 1, 500) > 0 && recv(p->fd, answer, sizeof answer, 0) == 16 &&
            get32(answer) == 0 && get32(answer + 4) == number) {
            memcpy(p->connection_id, answer + 8, 8);
            return;
        }
    }
    fprintf(stderr, "no answer to connect\n");
    exit(1);
}

static void make_peer(struct peer *p, uint32_t number) {
    snprintf((char *)p->peer_id, sizeof p->peer_id, "-XX0001-%011u", number);
    p->order = malloc(torrent_count * sizeof *p->order);
    for (uint32_t i = 0; i < torrent_count; i++) p->order[i] = i;
    for (uint32_t i = torrent_count - 1; i > 0; i--) {
        uint32_t j = (uint32_t)random() % (i + 1), kept = p->order[i];
        p->order[i] = p->order[j];
        p->order[j] = kept;
    }
}

static void fill(const struct peer *p, uint8_t *request, uint32_t transaction) {
    const uint8_t *hash = hashes + 20u * p->order[transaction % torrent_count];
    memset(request, 0, ANNOUNCE);
    memcpy(request, p->connection_id, 8);
    put32(request + 8, 1);
    put32(request + 12, transaction);
    memcpy(request + 16, hash, 20);
    memcpy(request + 36, p->peer_id, 20);
    put32(request + 68, p - peers < SEEDERS ? 0 : 1); /* left */
    put32(request + 92, numwant);
    request[96] = 6881 >> 8;
    request[97] = 6881 & 255;
}

static void send_some(struct peer *p, uint32_t count) {
    static uint8_t requests[BATCH][ANNOUNCE];
    struct iovec iov[BATCH];
    struct mmsghdr messages[BATCH];
    memset(messages, 0, sizeof messages);
    for (uint32_t i = 0; i < count; i++) {
        fill(p, requests[i], p->sent + i);
        iov[i] = (struct iovec){requests[i], ANNOUNCE};
        messages[i].msg_hdr.msg_iov = &iov[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    int taken = sendmmsg(p->fd, messages, count, MSG_DONTWAIT);
    if (taken < 0) {
        if (errno == EAGAIN || errno == ENOBUFS) return;
        fail("sendmmsg");
    }
    if (!p->in_flight) p->moved_at = now();
    p->sent += (uint32_t)taken;
    p->in_flight += (uint32_t)taken;
}

static uint32_t receive_some(struct peer *p) {
    static uint8_t answers[BATCH][MOST];
    struct iovec iov[BATCH];
    struct mmsghdr messages[BATCH];
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < BATCH; i++) {
        iov[i] = (struct iovec){answers[i], MOST};
        messages[i].msg_hdr.msg_iov = &iov[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    int count = recvmmsg(p->fd, messages, BATCH, MSG_DONTWAIT, NULL);
    if (count <= 0) return 0;
    for (int i = 0; i < count; i++) {
        uint32_t length = messages[i].msg_len, transaction = get32(answers[i] + 4);
        if (length < 8 || transaction - p->oldest >= p->sent - p->oldest || !p->in_flight) {
            stray++; /* it was given up as lost */
            continue;
        }
        p->in_flight--;
        if (get32(answers[i]) != 1) refused++;
        else if (length != 20 + 6 * wanted) wrong++;
        else answered++;
    }
    p->moved_at = now();
    return (uint32_t)count;
}

static void give_up_lost(double moment) {
    for (uint32_t i = 0; i < peer_count; i++) {
        struct peer *p = &peers[i];
        if (p->in_flight && moment - p->moved_at > LOST_SECONDS) {
            lost += p->in_flight;
            p->in_flight = 0;
            p->oldest = p->sent;
        }
    }
}

/* Announce until each peer has sent `until` announces and has its answers, or until a moment. */
static void run(uint32_t window, uint32_t until, double end) {
    uint32_t each = window / peer_count ? window / peer_count : 1;
    double looked = now();
    for (uint64_t round = 0;; round++) {
        uint32_t moved = 0, busy = 0;
        for (uint32_t i = 0; i < peer_count; i++) {
            struct peer *p = &peers[i];
            if (p->in_flight) moved += receive_some(p);
            uint32_t room = each > p->in_flight ? each - p->in_flight : 0;
            if (room > BATCH) room = BATCH;
            if (room > until - p->sent) room = until - p->sent;
            if (room) send_some(p, room);
            busy += p->in_flight != 0;
        }
        double moment = round % 16 ? looked : now();
        if (moment - looked > LOST_SECONDS / 4) give_up_lost(looked = moment);
        if ((!busy && !moved) || moment > end) return;
        if (!moved) { /* let the tracker work: whoever spins here takes its memory's time */
            struct pollfd waits[MOST_PEERS];
            for (uint32_t i = 0; i < peer_count; i++)
                waits[i] = (struct pollfd){.fd = peers[i].fd, .events = POLLIN};
            poll(waits, peer_count, 10);
            moment = now();
            if (moment - looked > LOST_SECONDS / 4) give_up_lost(looked = moment);
        }
    }
}

int main(int argc, char **argv) {
    if (argc != 8) {
        fprintf(stderr, "udp_load ADDRESS PORT HASHES PEERS NUMWANT WINDOW SECONDS\n");
        return 2;
    }
    struct sockaddr_in tracker = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    if (inet_pton(AF_INET, argv[1], &tracker.sin_addr) != 1) fail("inet_pton");
    FILE *file = fopen(argv[3], "rb");
    if (!file) fail(argv[3]);
    fseek(file, 0, SEEK_END);
    torrent_count = (uint32_t)(ftell(file) / 20);
    rewind(file);
    hashes = malloc(20u * torrent_count);
    if (!torrent_count || fread(hashes, 20, torrent_count, file) != torrent_count) fail("HASHES");
    fclose(file);
    peer_count = (uint32_t)atoi(argv[4]);
    numwant = (uint32_t)atoi(argv[5]);
    uint32_t window = (uint32_t)atoi(argv[6]);
    double seconds = atof(argv[7]);
    if (peer_count < 2 || peer_count > MOST_PEERS) fail("PEERS");
    wanted = numwant < peer_count - 1 ? numwant : peer_count - 1;
    for (uint32_t i = 0; i < peer_count; i++) {
        make_peer(&peers[i], i);
        connect_peer(&peers[i], i, &tracker);
    }
    run(window, torrent_count, now() + 120);
    uint64_t first_round = answered + wrong;
    answered = wrong = refused = lost = stray = 0;
    double began = now();
    run(window, UINT32_MAX, began + seconds);
    double took = now() - began;
    printf("{\"first_round\": %llu, \"seconds\": %.4f, \"answered\": %llu, \"wrong\": %llu, "
           "\"refused\": %llu, \"lost\": %llu, \"stray\": %llu}\n",
           (unsigned long long)first_round, took, (unsigned long long)answered,
           (unsigned long long)wrong, (unsigned long long)refused, (unsigned long long)lost,
           (unsigned long long)stray);
    return 0;
}
