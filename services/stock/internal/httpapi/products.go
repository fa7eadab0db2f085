package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/internal/idempotency"
	"ecommerce-stack.dev/services/internal/money"
	"ecommerce-stack.dev/services/internal/page"
	"ecommerce-stack.dev/services/internal/text"
	"ecommerce-stack.dev/services/stock/internal/catalog"
)

type product struct {
	ID          int64        `json:"id" doc:"Id of the product" example:"7"`
	Name        string       `json:"name" doc:"Name of the product" example:"Walnut desk"`
	Description string       `json:"description" doc:"Description of the product; may be empty" example:"140 by 70 cm, oiled."`
	Price       money.Amount `json:"price" doc:"Unit price, with two decimal places"`
	Currency    string       `json:"currency" doc:"Currency of the stack (ISO 4217)" example:"USD"`
	CreatedAt   time.Time    `json:"createdAt" doc:"When the product was created"`
	UpdatedAt   time.Time    `json:"updatedAt" doc:"When the product was last changed"`
}

func (a *API) product(p catalog.Product) product {
	return product{ID: p.ID, Name: p.Name, Description: p.Description, Price: p.Price, Currency: a.Currency,
		CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt}
}

type productBody struct {
	Name            string      `json:"name" minLength:"1" maxLength:"200" doc:"Name of the product: one line, not only spaces or invisible characters" example:"Walnut desk"`
	Description     string      `json:"description,omitempty" maxLength:"2000" doc:"Description of the product" example:"140 by 70 cm, oiled."`
	Price           money.Price `json:"price"`
	InitialQuantity int64       `json:"initialQuantity,omitempty" minimum:"0" maximum:"1000000000" example:"25" doc:"Quantity that is available at the beginning"`
}

type productChange struct {
	ProductID   int64        `json:"productId" minimum:"1" doc:"Id of the product" example:"7"`
	Name        *string      `json:"name,omitempty" minLength:"1" maxLength:"200" doc:"New name; unchanged if absent" example:"Walnut desk"`
	Description *string      `json:"description,omitempty" maxLength:"2000" doc:"New description; unchanged if absent" example:"140 by 70 cm, oiled twice."`
	Price       *money.Price `json:"price,omitempty"`
}

type createProduct struct {
	idempotency.Header
	Body productBody
}

type createdProduct struct {
	Location string `header:"Location" doc:"Path of the product" example:"/products/7"`
	ETag     string `header:"ETag" doc:"Version of the product" example:"\"3\""`
	Replayed string `header:"Idempotent-Replayed" doc:"true if this is the stored response to an earlier request" example:"true"`
	Body     product
}

// ConditionalWrite has the preconditions of a write. It is exported because huma ignores embedded
// types that are not.
type ConditionalWrite struct {
	IfMatch     string `header:"If-Match" maxLength:"1024" doc:"ETag that the product must still have (RFC 9110, section 13.1.1)" example:"\"3\""`
	IfNoneMatch string `header:"If-None-Match" maxLength:"1024" doc:"ETag that the product must not have; * is any (RFC 9110, section 13.1.2)" example:"\"2\""`
}

type updateProduct struct {
	ConditionalWrite
	Body productChange
}

type deleteProduct struct {
	ConditionalWrite
	ProductID int64 `path:"productId" minimum:"1" doc:"Id of the product" example:"7"`
}

type readProduct struct {
	ProductID   int64  `path:"productId" minimum:"1" doc:"Id of the product" example:"7"`
	IfNoneMatch string `header:"If-None-Match" maxLength:"1024" doc:"ETag of a stored response (RFC 9110, section 13.1.2)" example:"\"3\""`
}

// productResponse is a product, or 304 without a body.
type productResponse struct {
	Status int
	ETag   string `header:"ETag" doc:"Version of the response" example:"\"3\""`
	Body   *product
}

type listProducts struct {
	page.Query
	IfNoneMatch string `header:"If-None-Match" maxLength:"1024" doc:"ETag of a stored response (RFC 9110, section 13.1.2)" example:"\"3\""`
	Text        string `query:"q" maxLength:"200" doc:"Text in the name or the description, case-insensitive" example:"desk"`
	MinPrice    string `query:"minPrice" maxLength:"20" pattern:"^\\d{1,7}(\\.\\d{1,2})?$" patternDescription:"an amount such as 5.00" doc:"Lowest price" example:"5.00"`
	MaxPrice    string `query:"maxPrice" maxLength:"20" pattern:"^\\d{1,7}(\\.\\d{1,2})?$" patternDescription:"an amount such as 99.99" doc:"Highest price" example:"99.99"`
	InStock     string `query:"inStock" enum:"true,false" doc:"Only products that are available, or only products that are not" example:"true"`
	Sort        string `query:"sort" enum:"id,name,price,-price,-createdAt" default:"id" doc:"Sort order; a minus is descending" example:"name"`
}

type productPageResponse struct {
	Status int
	ETag   string `header:"ETag" doc:"Version of the response" example:"\"3\""`
	Body   *page.Page[product]
}

func (a *API) registerProducts(api huma.API) {
	huma.Register(api, publicOperation(http.MethodGet, "/products", "list-products", "List products", http.StatusNotModified), a.list)
	huma.Register(api, publicOperation(http.MethodGet, "/products/{productId}", "get-product", "Read a product",
		http.StatusNotModified, http.StatusNotFound), a.read)
	create := managerOperation(http.MethodPost, "/products", "create-product", "Add a product", http.StatusBadRequest)
	create.DefaultStatus = http.StatusCreated
	huma.Register(api, create, a.create)
	huma.Register(api, managerOperation(http.MethodPut, "/products", "update-product", "Change a product",
		http.StatusBadRequest, http.StatusNotFound, http.StatusPreconditionFailed), a.update)
	remove := managerOperation(http.MethodDelete, "/products/{productId}", "delete-product", "Delete a product from the catalog",
		http.StatusNotFound, http.StatusPreconditionFailed)
	remove.DefaultStatus = http.StatusNoContent
	huma.Register(api, remove, a.delete)
}

func (a *API) create(ctx context.Context, in *createProduct) (*createdProduct, error) {
	p, err := catalog.Checked(catalog.Product{Name: in.Body.Name, Description: in.Body.Description, Price: in.Body.Price.Amount})
	if err != nil {
		return nil, err
	}
	request, err := in.Request(callerID(ctx), "create-product", []any{p, in.Body.InitialQuantity})
	if err != nil {
		return nil, err
	}
	p, replayed, err := a.Catalog.Create(ctx, p, in.Body.InitialQuantity, callerID(ctx), request)
	if err != nil {
		return nil, err
	}
	return &createdProduct{Replayed: idempotency.Replayed(replayed), Location: "/products/" + strconv.FormatInt(p.ID, 10), ETag: versionTag(p.Version), Body: a.product(p)}, nil
}

func (a *API) read(ctx context.Context, in *readProduct) (*productResponse, error) {
	p, err := a.Catalog.Product(ctx, in.ProductID)
	if err != nil {
		return nil, err
	}
	tag := versionTag(p.Version)
	if matchesTag(in.IfNoneMatch, tag) {
		return &productResponse{Status: http.StatusNotModified, ETag: tag}, nil
	}
	body := a.product(p)
	return &productResponse{Status: http.StatusOK, ETag: tag, Body: &body}, nil
}

func (a *API) update(ctx context.Context, in *updateProduct) (*productResponse, error) {
	change := catalog.Change{Name: in.Body.Name, Description: in.Body.Description}
	if in.Body.Price != nil {
		change.Price = &in.Body.Price.Amount
	}
	change.Versions = in.versions()
	p, err := a.Catalog.Update(ctx, in.Body.ProductID, change)
	if err != nil {
		return nil, err
	}
	body := a.product(p)
	return &productResponse{Status: http.StatusOK, ETag: versionTag(p.Version), Body: &body}, nil
}

func (a *API) delete(ctx context.Context, in *deleteProduct) (*struct{}, error) {
	return nil, a.Catalog.Delete(ctx, in.ProductID, in.versions())
}

func (a *API) list(ctx context.Context, in *listProducts) (*productPageResponse, error) {
	filter, err := in.filter()
	if err != nil {
		return nil, err
	}
	products, err := a.Catalog.Products(ctx, filter)
	if err != nil {
		return nil, err
	}
	rows, err := page.Cut(products, in.Limit, cursorKind(filter.Sort), func(p catalog.Product) catalog.Position {
		return catalog.PositionOf(p, filter.Sort)
	})
	if err != nil {
		return nil, err
	}
	body := page.Map(rows, a.product)
	tag, err := contentTag(body)
	if err != nil {
		return nil, err
	}
	if matchesTag(in.IfNoneMatch, tag) {
		return &productPageResponse{Status: http.StatusNotModified, ETag: tag}, nil
	}
	return &productPageResponse{Status: http.StatusOK, ETag: tag, Body: &body}, nil
}

func cursorKind(s catalog.Sort) string { return "products." + string(s) }

func (in *listProducts) filter() (catalog.Filter, error) {
	f := catalog.Filter{Text: text.NFC(in.Text), Sort: catalog.Sort(in.Sort), Limit: in.Limit + 1}
	var err error
	if f.MinPrice, err = price("query.minPrice", in.MinPrice); err != nil {
		return f, err
	}
	if f.MaxPrice, err = price("query.maxPrice", in.MaxPrice); err != nil {
		return f, err
	}
	if f.MinPrice != nil && f.MaxPrice != nil && f.MinPrice.Cmp(*f.MaxPrice) > 0 {
		return f, failure.Invalid("query.minPrice", "must not be above maxPrice")
	}
	if in.InStock != "" {
		inStock := in.InStock == "true"
		f.InStock = &inStock
	}
	after, present, err := page.Decode[catalog.Position](cursorKind(f.Sort), in.Cursor)
	if err != nil || !present {
		return f, err
	}
	// A cursor may be forged. The database would reject a time that is out of its range.
	if year := after.CreatedAt.UTC().Year(); f.Sort == catalog.ByNewest && (year < 1970 || year > 9998) {
		return f, failure.Invalid("query.cursor", "is not a cursor of this list")
	}
	f.After = &after
	return f, nil
}

func price(location, text string) (*money.Amount, error) {
	if text == "" {
		return nil, nil
	}
	amount, err := money.Parse(text)
	if err != nil || amount.IsNegative() || amount.Cmp(money.MaxPrice) > 0 {
		return nil, failure.Invalid(location, "must be an amount from 0.00 to %s with at most two decimal places", money.MaxPrice)
	}
	return &amount, nil
}
