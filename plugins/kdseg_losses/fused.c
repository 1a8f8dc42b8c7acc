/* Cross-entropy with the labels and divergence from a source, with their gradient, in one pass over the logits.

   Pixels go through in groups of LANES: a group's logits are copied to rows of one class each, so that both memory
   layouts are read alike and every loop over a row is vectorised. The formulas are in fused.py. Compiled without
   -ffast-math (a NaN must stay one) and without contraction (equal logits must cancel exactly). */

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LANES 64
#define GROUPS_IN_A_CHUNK 64
#define MOST_THREADS 256

typedef struct {
    int64_t image, class, pixel; /* elements from one to the next; class or pixel is 1 */
} Strides;

typedef struct {
    const float *learner, *source;
    const int64_t *target;
    const float *weights; /* NULL: all 1 */
    float *gradient;      /* laid out as the learner */
    double *sums;         /* of each chunk: cross-entropy, divergence */
    Strides learner_strides, source_strides;
    int64_t images, classes, pixels; /* pixels of an image */
    int64_t ignore_index;
    int64_t with_labels, threads;
    float temperature, smoothing, entropy_scale, divergence_scale;
} Job;

typedef struct {
    const Job *job;
    int64_t next;  /* chunk, taken atomically */
    int wrong;    /* whether a label is no class */
} Work;

static inline float fused_multiply_add(float a, float b, float c) {
#if defined(__FMA__) || defined(__aarch64__)
    return __builtin_fmaf(a, b, c);
#else
    return a * b + c;
#endif
}

static inline int32_t bits_of(float value) {
    int32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float float_of(int32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* e^x for x <= 0: 2^n e^r with |r| <= log(2) / 2, the polynomial fitted to 1e-8; e^-87 below -87. */
static inline float exponential(float x) {
    const float round_to_integer = 12582912.0f; /* 1.5 * 2^23: its sum with a small number has that in its low bits */
    x = x < -87.0f ? -87.0f : x;
    float shifted = fused_multiply_add(x, 1.44269504f, round_to_integer);
    float n = shifted - round_to_integer;
    float r = fused_multiply_add(n, -0.693145752f, x); /* log(2) in two parts, the first of few bits */
    r = fused_multiply_add(n, -1.42860677e-6f, r);
    float p = 0x1.6d444ep-10f;
    p = fused_multiply_add(p, r, 0x1.120c68p-7f);
    p = fused_multiply_add(p, r, 0x1.5554e8p-5f);
    p = fused_multiply_add(p, r, 0x1.5554dcp-3f);
    p = fused_multiply_add(p, r, 0.5f);
    p = fused_multiply_add(p * r, r, r) + 1.0f;
    return float_of(bits_of(p) + (int32_t)((uint32_t)bits_of(shifted) << 23));
}

/* log x for positive normal x: n log(2) + 2 artanh((m - 1) / (m + 1)) with m in sqrt(1/2)..sqrt(2). */
static inline float logarithm(float x) {
    int32_t bits = bits_of(x);
    int32_t n = (bits - 0x3f3504f3) >> 23;
    float m = float_of(bits - (int32_t)((uint32_t)n << 23));
    float s = (m - 1.0f) / (m + 1.0f), t = s * s;
    float series = 1.0f + t * (1.0f / 3 + t * (1.0f / 5 + t * (1.0f / 7 + t * (1.0f / 9))));
    float result = (float)n * 0.693147181f + 2.0f * s * series;
    return x == x ? result : x;
}

#define EACH_LANE for (int b = 0; b < LANES; b++)

/* Copies `count` pixels to rows of LANES, one a class; 0 in the other lanes. */
static void load(const float *from, Strides strides, int64_t classes, int64_t count, float *restrict to) {
    if (count < LANES) memset(to, 0, (size_t)(classes * LANES) * sizeof *to);
    if (strides.pixel == 1)
        for (int64_t c = 0; c < classes; c++)
            memcpy(to + c * LANES, from + c * strides.class, (size_t)count * sizeof *to);
    else if (count == LANES)
        for (int64_t c = 0; c < classes; c++) EACH_LANE to[c * LANES + b] = from[b * strides.pixel + c];
    else
        for (int64_t c = 0; c < classes; c++)
            for (int64_t b = 0; b < count; b++) to[c * LANES + b] = from[b * strides.pixel + c];
}

static void store(const float *restrict from, Strides strides, int64_t classes, int64_t count, float *to) {
    if (strides.pixel == 1)
        for (int64_t c = 0; c < classes; c++)
            memcpy(to + c * strides.class, from + c * LANES, (size_t)count * sizeof *to);
    else
        for (int64_t b = 0; b < count; b++)
            for (int64_t c = 0; c < classes; c++) to[b * strides.pixel + c] = from[c * LANES + b];
}

/* One group. `power` is the temperature where it is 1, 2 or 4 (e^x is then that power of e^(x/T)), else 0. Rows: z of
   the learner, v of the source, u for e^x at other temperatures. Returns whether a label is no class. */
static inline __attribute__((always_inline)) int group(const Job *job, int64_t image, int64_t first, int64_t count,
                                                           float *restrict z, float *restrict v, float *restrict u,
                                                           double *sums, const int power, const int with_labels) {
    const int64_t classes = job->classes;
    const int64_t *target = job->target + image * job->pixels + first;
    const float t = job->temperature, inverse = 1.0f / t, hard = 1.0f - job->smoothing;
    const float soft = job->smoothing / (float)classes;
    int32_t valid[LANES], label[LANES];
    float weight[LANES], z_most[LANES], v_most[LANES], z_label[LANES], spread[LANES], cross[LANES];
    float z_sum[LANES], v_sum[LANES], u_sum[LANES];
    float all_weights = 0;

    for (int64_t b = 0; b < LANES; b++) {
        int64_t found = b < count ? target[b] : job->ignore_index;
        valid[b] = found != job->ignore_index;
        if (with_labels && valid[b] && (found < 0 || found >= classes)) return 1;
        label[b] = with_labels && valid[b] ? (int32_t)found : 0;
        weight[b] = job->weights ? job->weights[label[b]] : 1.0f;
    }
    load(job->learner + image * job->learner_strides.image + first * job->learner_strides.pixel, job->learner_strides,
         classes, count, z);
    load(job->source + image * job->source_strides.image + first * job->source_strides.pixel, job->source_strides,
         classes, count, v);

    EACH_LANE z_most[b] = z[b];
    EACH_LANE v_most[b] = v[b];
    for (int64_t c = 1; c < classes; c++) {
        const float *zc = z + c * LANES, *vc = v + c * LANES;
        EACH_LANE z_most[b] = zc[b] > z_most[b] ? zc[b] : z_most[b];
        EACH_LANE v_most[b] = vc[b] > v_most[b] ? vc[b] : v_most[b];
    }
    EACH_LANE z_label[b] = z[label[b] * LANES + b] - z_most[b];
    EACH_LANE spread[b] = cross[b] = z_sum[b] = v_sum[b] = u_sum[b] = 0;
    if (with_labels && soft > 0)
        for (int64_t c = 0; c < classes; c++) {
            const float w = job->weights ? job->weights[c] : 1.0f;
            all_weights += w;
            EACH_LANE spread[b] += w * (z[c * LANES + b] - z_most[b]);
        }
    for (int64_t c = 0; c < classes; c++) {
        float *zc = z + c * LANES, *vc = v + c * LANES, *uc = u + c * LANES;
        EACH_LANE {
            float zx = zc[b] - z_most[b], vx = vc[b] - v_most[b];
            float ze = exponential(zx * inverse), ve = exponential(vx * inverse);
            cross[b] += ve * (vx - zx);
            z_sum[b] += ze;
            v_sum[b] += ve;
            zc[b] = ze;
            vc[b] = ve;
            if (with_labels) {
                float square = ze * ze;
                float ue = power == 1 ? ze : power == 2 ? square : power == 4 ? square * square : exponential(zx);
                u_sum[b] += ue;
                if (power == 0) uc[b] = ue;
            }
        }
    }

    float z_times[LANES], v_times[LANES], u_times[LANES], off[LANES], entropy[LANES], divergence[LANES];
    EACH_LANE {
        float scale = job->divergence_scale * t;
        z_times[b] = scale / z_sum[b];
        v_times[b] = scale / v_sum[b];
        divergence[b] = t * t * (cross[b] / v_sum[b] * inverse + logarithm(z_sum[b] / v_sum[b]));
    }
    if (with_labels) EACH_LANE {
        float log_sum = logarithm(u_sum[b]), own = hard * weight[b];
        entropy[b] = own * (log_sum - z_label[b]) + soft * (all_weights * log_sum - spread[b]);
        u_times[b] = job->entropy_scale * (own + soft * all_weights) / u_sum[b];
        off[b] = job->entropy_scale * own;
    }
    for (int64_t c = 0; c < classes; c++) {
        float *zc = z + c * LANES, *vc = v + c * LANES, *uc = u + c * LANES;
        const float flat = with_labels ? job->entropy_scale * soft * (job->weights ? job->weights[c] : 1.0f) : 0;
        EACH_LANE {
            float ze = zc[b], slope = ze * z_times[b] - vc[b] * v_times[b];
            if (with_labels) {
                float square = ze * ze;
                float ue = power == 1 ? ze : power == 2 ? square : power == 4 ? square * square : uc[b];
                slope += ue * u_times[b] - flat;
            }
            zc[b] = valid[b] ? slope : 0;
        }
    }
    for (int64_t b = 0; b < count; b++)
        if (valid[b]) {
            sums[1] += divergence[b];
            if (with_labels) {
                sums[0] += entropy[b];
                z[label[b] * LANES + b] -= off[b];
            }
        }
    store(z, job->learner_strides, classes, count,
          job->gradient + image * job->learner_strides.image + first * job->learner_strides.pixel);
    return 0;
}

#define GROUP(power, labels) \
    static __attribute__((noinline)) int group_##power##_##labels(const Job *job, int64_t image, int64_t first, \
                                                                      int64_t count, float *rows, double *sums) { \
        const int64_t size = job->classes * LANES; \
        return group(job, image, first, count, rows, rows + size, rows + 2 * size, sums, power, labels); \
    }
GROUP(0, 1) GROUP(1, 1) GROUP(2, 1) GROUP(4, 1) GROUP(1, 0)

static void *work_off(void *given) {
    Work *work = given;
    const Job *job = work->job;
    const int64_t length = LANES * GROUPS_IN_A_CHUNK, chunks = (job->pixels + length - 1) / length;
    float *rows = NULL;
    if (posix_memalign((void **)&rows, 64, (size_t)(3 * job->classes * LANES) * sizeof *rows)) return NULL;
    for (;;) {
        const int64_t chunk = __atomic_fetch_add(&work->next, 1, __ATOMIC_RELAXED);
        if (chunk >= job->images * chunks) break;
        const int64_t image = chunk / chunks, begin = chunk % chunks * length;
        const int64_t end = begin + length < job->pixels ? begin + length : job->pixels;
        double sums[2] = {0, 0};
        for (int64_t first = begin; first < end; first += LANES) {
            const int64_t count = end - first < LANES ? end - first : LANES;
            int wrong;
            if (!job->with_labels) wrong = group_1_0(job, image, first, count, rows, sums);
            else if (job->temperature == 1) wrong = group_1_1(job, image, first, count, rows, sums);
            else if (job->temperature == 2) wrong = group_2_1(job, image, first, count, rows, sums);
            else if (job->temperature == 4) wrong = group_4_1(job, image, first, count, rows, sums);
            else wrong = group_0_1(job, image, first, count, rows, sums);
            if (wrong) __atomic_store_n(&work->wrong, 1, __ATOMIC_RELAXED);
        }
        job->sums[2 * chunk] = sums[0];
        job->sums[2 * chunk + 1] = sums[1];
    }
    free(rows);
    return NULL;
}

/* Does the job; returns 0, 1 where a label is no class, 2 without memory. */
int kdseg_fused(const Job *job) {
    Work work = {job, 0, 0};
    pthread_t threads[MOST_THREADS];
    int64_t started = 0;
    while (started < job->threads - 1 && started < MOST_THREADS &&
           !pthread_create(&threads[started], NULL, work_off, &work))
        started++;
    work_off(&work);
    for (int64_t thread = 0; thread < started; thread++) pthread_join(threads[thread], NULL);
    const int64_t length = LANES * GROUPS_IN_A_CHUNK, chunks = (job->pixels + length - 1) / length;
    return work.wrong ? 1 : work.next < job->images * chunks ? 2 : 0;
}
