package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/internal/money"
	"ecommerce-stack.dev/services/internal/page"
	"ecommerce-stack.dev/services/stock/internal/catalogue"
)

type product struct {
	ID          int64        `json:"id" doc:"Id of the product" example:"7"`
	Name        string       `json:"name" doc:"What shoppers see first" example:"Walnut desk"`
	Description string       `json:"description" doc:"What else there is to say; may be empty" example:"140 by 70 cm, oiled."`
	Price       money.Amount `json:"price" doc:"Price of one, with two decimal places"`
	Currency    string       `json:"currency" doc:"The stack's currency (ISO 4217)" example:"USD"`
	CreatedAt   time.Time    `json:"createdAt" doc:"When it came into the catalogue"`
	UpdatedAt   time.Time    `json:"updatedAt" doc:"When it was last changed"`
}

func (a *API) product(p catalogue.Product) product {
	return product{ID: p.ID, Name: p.Name, Description: p.Description, Price: p.Price, Currency: a.Currency,
		CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt}
}

type productBody struct {
	Name            string      `json:"name" minLength:"1" maxLength:"200" doc:"What shoppers see first; not only spaces" example:"Walnut desk"`
	Description     string      `json:"description,omitempty" maxLength:"2000" doc:"What else there is to say" example:"140 by 70 cm, oiled."`
	Price           money.Price `json:"price"`
	InitialQuantity int64       `json:"initialQuantity,omitempty" minimum:"0" maximum:"1000000000" example:"25" doc:"Goods that are there from the start"`
}

type productChange struct {
	ProductID   int64        `json:"productId" minimum:"1" doc:"The product to change" example:"7"`
	Name        *string      `json:"name,omitempty" minLength:"1" maxLength:"200" doc:"Another name; left out, it stays" example:"Walnut desk"`
	Description *string      `json:"description,omitempty" maxLength:"2000" doc:"Another description; left out, it stays" example:"140 by 70 cm, oiled twice."`
	Price       *money.Price `json:"price,omitempty"`
}

type createProduct struct{ Body productBody }

type createdProduct struct {
	Location string `header:"Location" doc:"Where the product is" example:"/products/7"`
	ETag     string `header:"ETag" doc:"Version of the product" example:"\"3\""`
	Body     product
}

// ConditionalWrite is embedded in the inputs of writes that honour If-Match.
type ConditionalWrite struct {
	IfMatch string `header:"If-Match" maxLength:"1024" doc:"ETag that the product must still have (RFC 9110, section 13.1.1)" example:"\"3\""`
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
	IfNoneMatch string `header:"If-None-Match" maxLength:"1024" doc:"ETag that is known already (RFC 9110, section 13.1.2)" example:"\"3\""`
}

// found is a product, or 304 without a body.
type found struct {
	Status int
	ETag   string `header:"ETag" doc:"Version of what was answered" example:"\"3\""`
	Body   *product
}

type listProducts struct {
	page.Query
	IfNoneMatch string `header:"If-None-Match" maxLength:"1024" doc:"ETag that is known already (RFC 9110, section 13.1.2)" example:"\"3\""`
	Text        string `query:"q" maxLength:"200" doc:"Text in the name or the description, without regard to case" example:"desk"`
	MinPrice    string `query:"minPrice" maxLength:"20" doc:"Lowest price" example:"5.00"`
	MaxPrice    string `query:"maxPrice" maxLength:"20" doc:"Highest price" example:"99.99"`
	InStock     string `query:"inStock" enum:"true,false" doc:"Only products that are available, or only those that are not" example:"true"`
	Sort        string `query:"sort" enum:"id,name,price,-price,-createdAt" default:"id" doc:"What the list is sorted by; a minus sorts it downwards" example:"name"`
}

type productPage struct {
	Status int
	ETag   string `header:"ETag" doc:"Version of what was answered" example:"\"3\""`
	Body   *page.Page[product]
}

func (a *API) registerProducts(api huma.API) {
	huma.Register(api, public(http.MethodGet, "/products", "list-products", "List products", http.StatusNotModified), a.list)
	huma.Register(api, public(http.MethodGet, "/products/{productId}", "get-product", "Read a product",
		http.StatusNotModified, http.StatusNotFound), a.read)
	create := managers(http.MethodPost, "/products", "create-product", "Add a product", http.StatusBadRequest)
	create.DefaultStatus = http.StatusCreated
	huma.Register(api, create, a.create)
	huma.Register(api, managers(http.MethodPut, "/products", "update-product", "Change a product",
		http.StatusBadRequest, http.StatusNotFound, http.StatusPreconditionFailed), a.update)
	remove := managers(http.MethodDelete, "/products/{productId}", "delete-product", "Take a product out of the catalogue",
		http.StatusNotFound, http.StatusPreconditionFailed)
	remove.DefaultStatus = http.StatusNoContent
	huma.Register(api, remove, a.delete)
}

func (a *API) create(ctx context.Context, in *createProduct) (*createdProduct, error) {
	p := catalogue.Product{Name: in.Body.Name, Description: in.Body.Description, Price: in.Body.Price.Amount}
	if err := catalogue.Check(p); err != nil {
		return nil, err
	}
	p, err := a.Catalogue.Create(ctx, p, in.Body.InitialQuantity, actor(ctx))
	if err != nil {
		return nil, err
	}
	return &createdProduct{Location: "/products/" + strconv.FormatInt(p.ID, 10), ETag: versionTag(p.Version), Body: a.product(p)}, nil
}

func (a *API) read(ctx context.Context, in *readProduct) (*found, error) {
	p, err := a.Catalogue.Product(ctx, in.ProductID)
	if err != nil {
		return nil, err
	}
	tag := versionTag(p.Version)
	if known(in.IfNoneMatch, tag) {
		return &found{Status: http.StatusNotModified, ETag: tag}, nil
	}
	body := a.product(p)
	return &found{Status: http.StatusOK, ETag: tag, Body: &body}, nil
}

func (a *API) update(ctx context.Context, in *updateProduct) (*found, error) {
	change := catalogue.Change{Name: in.Body.Name, Description: in.Body.Description}
	if in.Body.Price != nil {
		change.Price = &in.Body.Price.Amount
	}
	change.Versions = in.versions()
	p, err := a.Catalogue.Update(ctx, in.Body.ProductID, change)
	if err != nil {
		return nil, err
	}
	body := a.product(p)
	return &found{Status: http.StatusOK, ETag: versionTag(p.Version), Body: &body}, nil
}

func (a *API) delete(ctx context.Context, in *deleteProduct) (*struct{}, error) {
	return nil, a.Catalogue.Delete(ctx, in.ProductID, in.versions())
}

func (a *API) list(ctx context.Context, in *listProducts) (*productPage, error) {
	filter, err := in.filter()
	if err != nil {
		return nil, err
	}
	products, err := a.Catalogue.Products(ctx, filter)
	if err != nil {
		return nil, err
	}
	rows, err := page.Cut(products, in.Limit, cursorKind(filter.Sort), func(p catalogue.Product) catalogue.Position {
		return catalogue.PositionOf(p, filter.Sort)
	})
	if err != nil {
		return nil, err
	}
	body := page.Map(rows, a.product)
	tag, err := contentTag(body)
	if err != nil {
		return nil, err
	}
	if known(in.IfNoneMatch, tag) {
		return &productPage{Status: http.StatusNotModified, ETag: tag}, nil
	}
	return &productPage{Status: http.StatusOK, ETag: tag, Body: &body}, nil
}

func cursorKind(s catalogue.Sort) string { return "products." + string(s) }

func (in *listProducts) filter() (catalogue.Filter, error) {
	f := catalogue.Filter{Text: in.Text, Sort: catalogue.Sort(in.Sort), Limit: in.Limit + 1}
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
	after, given, err := page.Decode[catalogue.Position](cursorKind(f.Sort), in.Cursor)
	if err != nil || !given {
		return f, err
	}
	// A cursor comes from outside: a time that no row can have is none of ours, and
	// the database would refuse it.
	if year := after.CreatedAt.UTC().Year(); f.Sort == catalogue.ByNewest && (year < 1970 || year > 9998) {
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
