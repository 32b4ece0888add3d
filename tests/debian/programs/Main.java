// HotSpot's tiers, implicit null checks and stack overflow (SIGSEGV), safepoints, collections, monitors, virtual threads, children.
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.*;
import java.util.stream.*;

public class Main {
    interface Shape { double area(); }
    record Circle(double r) implements Shape { public double area() { return Math.PI * r * r; } }
    record Square(double s) implements Shape { public double area() { return s * s; } }
    static int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
    static volatile int guard;
    static int nulls(Object[] all) {
        int caught = 0;
        for (Object o : all) try { caught += o.hashCode() & 0; } catch (NullPointerException e) { caught++; }
        return caught;
    }
    static int depth(int n) { return depth(n + 1) + 1; }
    public static void main(String[] args) throws Exception {
        System.out.println("fib " + fib(27));
        Shape[] shapes = new Shape[1000];
        for (int i = 0; i < 1000; i++) shapes[i] = i % 3 == 0 ? new Square(i) : new Circle(i);
        double sum = 0;
        for (int k = 0; k < 100; k++) for (Shape s : shapes) sum += s.area();
        System.out.printf(Locale.ROOT, "shapes %.3f%n", sum);
        Object[] some = new Object[1000];
        for (int i = 0; i < 1000; i++) some[i] = i % 10 == 0 ? null : "x" + i;
        int n = 0;
        for (int k = 0; k < 200; k++) n += nulls(some);
        System.out.println("nulls " + n);
        try { depth(0); } catch (StackOverflowError e) { System.out.println("overflow"); }
        List<byte[]> keep = new ArrayList<>();
        long bytes = 0;
        for (int i = 0; i < 20000; i++) { byte[] b = new byte[10000]; b[i % 10000] = 1; bytes += b.length; if (i % 200 == 0) keep.add(b); }
        System.out.println("gc " + bytes + " " + keep.size());
        ExecutorService pool = Executors.newFixedThreadPool(8);
        AtomicLong total = new AtomicLong();
        List<Future<Integer>> futures = new ArrayList<>();
        for (int t = 0; t < 32; t++) { final int seed = t; futures.add(pool.submit(() -> {
            int x = seed; for (int i = 0; i < 20000; i++) { x = x * 31 + i; total.incrementAndGet(); } return x; })); }
        int all = 0; for (Future<Integer> f : futures) all ^= f.get();
        pool.shutdown(); pool.awaitTermination(60, TimeUnit.SECONDS);
        System.out.println("pool " + all + " " + total.get());
        ConcurrentHashMap<Integer, Integer> map = new ConcurrentHashMap<>();
        IntStream.range(0, 50000).parallel().forEach(i -> map.merge(i % 977, 1, Integer::sum));
        System.out.println("streams " + map.values().stream().mapToInt(i -> i).sum());
        var lock = new Object(); int[] turn = {0};
        Thread[] two = new Thread[2];
        for (int t = 0; t < 2; t++) { final int me = t; two[t] = new Thread(() -> { for (int i = 0; i < 2000; i++) synchronized (lock) {
            while (turn[0] != me) try { lock.wait(); } catch (InterruptedException e) { return; } turn[0] = 1 - me; lock.notifyAll(); } }); two[t].start(); }
        for (Thread t : two) t.join();
        System.out.println("monitors");
        try (var virtual = Executors.newVirtualThreadPerTaskExecutor()) {
            var results = IntStream.range(0, 200).mapToObj(i -> virtual.submit(() -> { Thread.sleep(5); return i; })).toList();
            int v = 0; for (var f : results) v += f.get(); System.out.println("virtual " + v); }
        System.out.println("string " + IntStream.range(0, 5000).mapToObj(Integer::toString).collect(Collectors.joining(",")).hashCode());
        Process p = new ProcessBuilder("/bin/echo", "spawned").redirectErrorStream(true).start();
        System.out.println(new String(p.getInputStream().readAllBytes()).trim() + " " + p.waitFor());
    }
}
