// The hot formulas of the renderer: terrain height, fractal noise, billboards. terrain.py, noise.py and
// billboards.py hold the readable reference. fused.py prepends NPARAMS and one p_NAME macro per parameter.
__device__ __forceinline__ float clamp01(float t) { return fminf(fmaxf(t, 0.f), 1.f); }
__device__ __forceinline__ float sstep(float a, float b, float x) { float t = clamp01((x - a) / (b - a)); return t * t * (3.f - 2.f * t); }
__device__ __forceinline__ float sgn(float v) { return v > 0.f ? 1.f : (v < 0.f ? -1.f : 0.f); }
__device__ __forceinline__ float hash1(float a, float b, float c) { float v = sinf(a * 127.1f + b * 311.7f + c * 74.7f) * 43758.5453f; return v - floorf(v); }

__device__ __forceinline__ float noise2(const float* tex, float x, float y) {
  float u = x * 32.f, v = y * 32.f, iu = floorf(u), iv = floorf(v), fu = u - iu, fv = v - iv;
  int i = ((int)iu) & 1023, j = ((int)iv) & 1023, i1 = (i + 1) & 1023, j1 = (j + 1) & 1023;
  float a = tex[j * 1024 + i], b = tex[j * 1024 + i1], c = tex[j1 * 1024 + i], d = tex[j1 * 1024 + i1];
  return (a + (b - a) * fu) * (1.f - fv) + (c + (d - c) * fu) * fv;
}

__device__ __forceinline__ float height1(const float* tex, const float* P, float x, float z, float px, int octaves, int boxes) {
  float a = (x + p_ox) / p_L, b = (z + p_oz) / p_L, freq = 1.f, amp = 1.f, fb = 0.f, ridge = 0.f, prev = 1.f;
  float limit = p_L / (3.f * px);
  for (int k = 0; k < octaves; ++k) {
    float n = noise2(tex, a + 5.7f * k, b - 3.3f * k), fade = clamp01(limit / freq);
    fb += amp * n * fade;
    float r = fmaxf(1.f - 1.5f * fabsf(n), 0.f); r *= r;
    ridge += amp * prev * (.3f + (r - .3f) * fade);
    prev = fminf(fmaxf(r, .15f), 1.f);
    amp *= p_gain; freq *= 2.02f;
    float a2 = 1.616f * a + 1.212f * b; b = -1.212f * a + 1.616f * b; a = a2;
  }
  float env = sstep(p_env0, p_env1, sqrtf(x * x + z * z)), rise = p_ridge * env * (ridge - .3f);
  float axis = fabsf(x - (p_meander * 1.6f * noise2(tex, z / p_meander_l + p_seed, p_seed * 1.7f) + 8.f));
  float valley = p_river > 0.f ? sstep(p_river_w * 2.f, p_river_w * 2.f + 700.f, axis) : 1.f;
  float h = p_base + p_fbm * fb * (.35f + .65f * fmaxf(valley, 0.f)) + rise * valley;
  float da = (x + p_ox) / p_dune_l, db = (z + p_oz) / p_dune_l;
  float big = noise2(tex, da * .6f + .3f * fb, db * 1.1f), crest = fmaxf(1.f - fabsf(1.6f * big), 0.f), small = noise2(tex, da * 2.3f + 4.f, db * 1.3f + big * 1.5f);
  h += p_dune * (powf(crest, 1.4f) * 1.3f + .22f * (1.f - fabsf(small)) * crest);
  float dx = x - p_cone_x, dz = z - p_cone_z, t = clamp01(1.f - sqrtf(dx * dx + dz * dz) / p_cone_r * (1.f + .22f * fb));
  float slope = powf(t, 1.7f), volcano = t > .86f ? 0.77386f - (t - .86f) * 2.2f : slope;
  h += p_cone * (p_crater > 0.f ? volcano * (1.f + .05f * fb) : sstep(0.f, .75f, t) * (1.f + .35f * fb));
  float d = axis + 55.f * fb, w = p_canyon_w;
  h += p_canyon * (.5f * sstep(w, w + 55.f, d) + .5f * sstep(w * 2.1f + 40.f, w * 2.1f + 120.f, d + 40.f * fb));
  float across = p_front > 0.f ? z - p_env0 + 20.f : x * sgn(p_side) - p_side_x * sgn(p_side);
  h += fabsf(p_side) * sstep(-.4f, 1.f, (across + p_side_w * .9f * fb) / p_side_w);
  h += p_cliff * sstep(p_cliff_z - 3.f, p_cliff_z + 5.f, z + 20.f * fb + .0016f * dx * dx) * (1.f + .12f * fb);
  float step = h / p_terr_step, fl = floorf(step), terr = h > p_waterline ? p_terr : 0.f;
  h += ((fl + sstep(.35f, .65f, step - fl)) * p_terr_step - h) * terr;
  float carve = p_river > 0.f ? 1.f - sstep(p_river_w, p_river_w * 2.6f, axis + 5.f * fb) : 0.f;
  h += (-3.f - h) * carve;
  if (p_pyramid > 0.f) {
    for (int k = 0; k < 3; ++k) {
      float ex = k == 0 ? 0.f : (k == 1 ? 330.f : -300.f), ez = k == 0 ? 0.f : (k == 1 ? 190.f : 330.f), s = k == 0 ? 1.f : (k == 1 ? .8f : .6f);
      float m = fmaxf(fabsf(x - p_cone_x - ex), fabsf(z - p_cone_z - ez));
      h = fmaxf(h, p_base + fmaxf(p_pyramid * s - m / .8f, -40.f));
    }
  } else { h = fmaxf(h, p_base - 340.f); }
  if (boxes && p_city > 0.f && h > p_waterline) {
    float ca = (x + p_ox) / p_city_cell, cb = (z + p_oz) / p_city_cell, i = floorf(ca), j = floorf(cb);
    float h1 = hash1(i, j, p_seed), h2 = hash1(j, i, p_seed + 3.1f);
    if (fabsf(ca - i - .5f) < .3f + .1f * h2 && fabsf(cb - j - .5f) < .3f + .1f * h1) {
      float cx = (i + .5f) * p_city_cell - p_ox, cz = (j + .5f) * p_city_cell - p_oz;
      float far_ = expf(-((cx - p_cone_x) * (cx - p_cone_x) + (cz - p_cone_z) * (cz - p_cone_z)) / (p_cone_r * p_cone_r));
      float reach = fmaxf(fabsf(ca - i - .5f), fabsf(cb - j - .5f));
      float tier = (h1 > .42f && reach > .19f) ? .58f + .3f * h2 : ((h2 > .72f && reach < .05f) ? 1.22f : 1.f);
      h += tier * p_city * (.12f + .25f * h1 + h2 * h2 * h2 * .8f * far_ + .5f * far_ * h1) * sstep(p_env0, p_env0 + 60.f, sqrtf(cx * cx + cz * cz));
    }
  }
  return h;
}

extern "C" __global__ void height(float* out, const float* x, const float* z, const float* px, const float* params, const float* tex, int per_image, int octaves, int boxes, int total) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < total) out[i] = height1(tex, params + (i / per_image) * NPARAMS, x[i], z[i], px[i], octaves, boxes);
}

extern "C" __global__ void fbm(float* out, const float* x, const float* y, const float* tex, int octaves, const float* konst, int total) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= total) return;
  float a = x[i], b = y[i], sum = 0.f, amp = 1.f;
  for (int k = 0; k < octaves; ++k) {
    sum += amp * noise2(tex, a + 17.3f * k, b - 9.1f * k);
    amp *= konst[0];
    float a2 = 1.62f * a + 1.21f * b; b = -1.21f * a + 1.62f * b; a = a2;
  }
  out[i] = sum * konst[1];
}

// light: per image sun rgb, sky rgb, glow, under, fog rate, camera height
extern "C" __global__ void sprites(float* colour, float* depth, unsigned char* water, float* seen, const float* columns, const float* atlas, const float* u_s, const float* light, const float* tone,
                    int B, int K, int H, int W, int atlas_h, int atlas_w, int rows, const float* konst, int total) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= total) return;
  int x = i % W, y = (i / W) % H, b = i / (W * H), hw = H * W, stride = B * K * W, plane = atlas_h * atlas_w;
  const float* L = light + b * 10;
  float s = u_s[b * H + y], d = depth[i], c[3], fog_tone[3];
  unsigned char wet = water[i];
  int o = b * 3 * hw + y * W + x;
  for (int k = 0; k < 3; ++k) { c[k] = colour[o + k * hw]; fog_tone[k] = tone[o + k * hw]; }
  for (int j = 0; j < K; ++j) {
    const float* col = columns + (b * K + j) * W + x;
    float tx = col[0], z = col[stride];
    if (tx < 0.f || z >= d) continue;
    float ty = (L[9] + s * z - col[2 * stride]) / col[3 * stride];
    if (ty <= .004f || ty >= .996f) continue;
    float ax = tx * atlas_w - .5f, ay = (col[4 * stride] + 1.f - ty) / rows * atlas_h - .5f;
    float fx = ax - floorf(ax), fy = ay - floorf(ay);
    int ix = (int)floorf(ax), iy = (int)floorf(ay);
    ix = ix < 0 ? 0 : (ix > atlas_w - 2 ? atlas_w - 2 : ix); iy = iy < 0 ? 0 : (iy > atlas_h - 2 ? atlas_h - 2 : iy);
    float t[5];
    for (int k = 0; k < 5; ++k) {
      const float* q = atlas + k * plane + iy * atlas_w + ix;
      t[k] = (q[0] + (q[1] - q[0]) * fx) * (1.f - fy) + (q[atlas_w] + (q[atlas_w + 1] - q[atlas_w]) * fx) * fy;
    }
    float alpha = t[3], shade = konst[0] + konst[1] * ty;
    if (alpha <= .002f) continue;
    float l[3], top = 0.f;
    for (int k = 0; k < 3; ++k) { l[k] = L[k] * shade + L[3 + k]; top = fmaxf(top, l[k]); }
    float f = 1.f - expf(-powf(z * L[8], 1.1f)), fk[3] = {f, powf(f, .97f), powf(f, .9f)};
    for (int k = 0; k < 3; ++k) {
      float v = t[k] * (l[k] + (top * 1.1f + .12f - l[k]) * L[7] + t[4] * L[6]);
      v += (fog_tone[k] - v) * fk[k];
      c[k] += (v - c[k]) * alpha;
    }
    if (alpha > .5f) { d = z; wet = 0; }
    atomicAdd(seen + b * K + j, alpha);
  }
  for (int k = 0; k < 3; ++k) colour[o + k * hw] = c[k];
  depth[i] = d; water[i] = wet;
}
