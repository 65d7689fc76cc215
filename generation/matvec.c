// y = W x + b, or y += W x + b: one row x through a matrix [rows columns]. Built and called by generation/compiled.py.
// Each number of W is read once, in the order of the memory, which is all that such a product waits for.

void matvec(const float *weight, const float *bias, const float *x, float *y, long rows, long columns, int adds,
            int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (long row = 0; row < rows; row++) {
        const float *w = weight + row * columns;
        float sum = bias ? bias[row] : 0;
#pragma omp simd reduction(+ : sum)
        for (long i = 0; i < columns; i++) sum += w[i] * x[i];
        y[row] = adds ? y[row] + sum : sum;
    }
}
