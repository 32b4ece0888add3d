/* Sockets: TCP and UDP on the loopback, UNIX pairs, a file handed over, poll, select and epoll. */
#include "must.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_in bound(int socket) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    must(bind(socket, (void *)&address, size) == 0 && getsockname(socket, (void *)&address, &size) == 0);
    must(size == sizeof address && address.sin_port != 0);
    return address;
}

static void *client(void *argument) {
    int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    char reply[100];
    must(connect(s, argument, sizeof(struct sockaddr_in)) == 0);
    must(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0);
    must(send(s, "hello over tcp", 14, 0) == 14 && shutdown(s, SHUT_WR) == 0);
    must(recv(s, reply, 14, MSG_WAITALL) == 14 && memcmp(reply, "HELLO OVER TCP", 14) == 0);
    close(s);
    return NULL;
}

static void tcp(void) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = bound(listener), peer;
    socklen_t size = sizeof peer;
    pthread_t thread;
    char text[100];
    must(listen(listener, 5) == 0 && pthread_create(&thread, NULL, client, &address) == 0);
    struct pollfd ready = {.fd = listener, .events = POLLIN};
    must(poll(&ready, 1, 5000) == 1 && ready.revents == POLLIN);
    int s = accept(listener, (void *)&peer, &size);
    must(s >= 0 && peer.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    ssize_t length = 0, n;
    while ((n = read(s, text + length, sizeof text - length)) > 0) length += n;
    for (int i = 0; i < length; i++) text[i] -= text[i] >= 'a' ? 32 : 0;
    must(write(s, text, length) == length);
    pthread_join(thread, NULL);
    printf("tcp: %.*s\n", (int)length, text);
    close(s), close(listener);
}

static void udp(void) {
    int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in to = bound(a), from = bound(b), seen;
    socklen_t size = sizeof seen;
    char text[100];
    must(sendto(b, "datagram", 8, 0, (void *)&to, sizeof to) == 8);
    must(recvfrom(a, text, sizeof text, 0, (void *)&seen, &size) == 8 && seen.sin_port == from.sin_port);
    must(recv(a, text, sizeof text, MSG_DONTWAIT) == -1 && errno == EAGAIN);
    printf("udp: %.8s\n", text);
    close(a), close(b);
}

static void hand_over(void) {
    int pair[2], ends[2], got = -1;
    char byte = 'f', control[CMSG_SPACE(sizeof(int))] = {0};
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && pipe(ends) == 0);
    struct iovec part = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET, head->cmsg_type = SCM_RIGHTS, head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &ends[1], sizeof(int));
    must(sendmsg(pair[0], &message, 0) == 1);
    memset(control, 0, sizeof control);
    must(recvmsg(pair[1], &message, 0) == 1 && (head = CMSG_FIRSTHDR(&message)) && head->cmsg_type == SCM_RIGHTS);
    memcpy(&got, CMSG_DATA(head), sizeof(int));
    char text[20] = "";
    must(got != ends[1] && write(got, "through", 7) == 7 && read(ends[0], text, 20) == 7);
    printf("unix: a pipe handed over, %s\n", text);
    close(pair[0]), close(pair[1]), close(ends[0]), close(ends[1]), close(got);
}

static void waiting(void) {
    int pair[2], poller = epoll_create1(EPOLL_CLOEXEC), counter = eventfd(0, EFD_NONBLOCK);
    must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0x123456789abcdef}, seen[4];
    must(epoll_ctl(poller, EPOLL_CTL_ADD, pair[0], &event) == 0);
    event = (struct epoll_event){.events = EPOLLIN | EPOLLET, .data.u64 = 7};
    must(epoll_ctl(poller, EPOLL_CTL_ADD, counter, &event) == 0);
    must(epoll_wait(poller, seen, 4, 5) == 0);
    must(write(pair[1], "x", 1) == 1 && epoll_wait(poller, seen, 4, 5000) == 1 &&
         seen[0].data.u64 == 0x123456789abcdef);
    uint64_t number = 3;
    must(write(counter, &number, 8) == 8 && epoll_wait(poller, seen, 4, 5000) == 2);
    must(epoll_wait(poller, seen, 4, 0) == 1); /* the counter speaks at edges only */
    must(write(counter, &number, 8) == 8 && read(counter, &number, 8) == 8 && number == 6);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(pair[0], &set);
    struct timeval second = {1, 0};
    must(select(pair[0] + 1, &set, NULL, NULL, &second) == 1 && FD_ISSET(pair[0], &set));
    close(pair[1]);
    char byte;
    must(read(pair[0], &byte, 1) == 1 && read(pair[0], &byte, 1) == 0);
    must(epoll_wait(poller, seen, 4, 5000) >= 1 && seen[0].events & EPOLLHUP);
    printf("epoll, select and eventfd\n");
    close(pair[0]), close(counter), close(poller);
}

int main(void) {
    tcp();
    udp();
    hand_over();
    waiting();
    must(connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&(struct sockaddr_un){AF_UNIX, "/nowhere"},
                 sizeof(struct sockaddr_un)) == -1);
    printf("nobody there: %s\n", strerror(errno));
    return 0;
}
